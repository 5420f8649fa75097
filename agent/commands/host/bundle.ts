/**
 * `nexd debug bundle`: one file for a bug report.
 *
 * @module
 */
import { archive, collect } from "../../bundle/mod.ts";
import { renderStatus } from "../../ctl/mod.ts";
import { AgentError, reasonOf } from "../../errors.ts";
import { readText } from "../../onboarding/mod.ts";
import { runCommand } from "../../platform/mod.ts";
import type { CommandContext, Values } from "../context.ts";
import { examineThisHost, renderFindings } from "./doctor.ts";
import { readOutside } from "./outside.ts";

/** `nexd debug bundle`. Throws when the file is there already or cannot be written. */
export async function debugBundle(values: Values, context: CommandContext): Promise<void> {
  const now = new Date();
  const stamp = now.toISOString().replace(/[-:]/g, "").replace(/\.\d+Z$/, "Z");
  const path = readText(values, "output") ?? `nexd-debug-${stamp}.tar.gz`;
  const { status, stateDir } = await readOutside(values);
  const { login: _, ...told } = status ?? {};
  const findings = await examineThisHost(values);
  const plain = { color: false, columns: 100 };
  const files = await collect({
    stateDir,
    environment: Deno.env.toObject(),
    run: runCommand,
    files: [
      {
        name: "version.json",
        text: json({
          version: context.version,
          time: now.toISOString(),
          build: Deno.build,
          runtime: Deno.version,
        }),
      },
      { name: "status.json", text: status === undefined ? "no agent runs\n" : json(told) },
      {
        name: "status.txt",
        text: status === undefined
          ? "no agent runs\n"
          : renderStatus(told as typeof status, now.getTime(), 100).join("\n") + "\n",
      },
      { name: "doctor.json", text: json(findings) },
      { name: "doctor.txt", text: renderFindings(findings, plain).join("\n") + "\n" },
    ],
  });
  const folder = `nexd-debug-${stamp}`;
  const bytes = await archive(
    files.map(({ name, text }) => ({ name: `${folder}/${name}`, text })),
    now,
  );
  try {
    await Deno.writeFile(path, bytes, { createNew: true, mode: 0o600 });
  } catch (error) {
    const there = error instanceof Deno.errors.AlreadyExists;
    throw new AgentError(
      `Cannot write ${path}: ${there ? "it is there already" : reasonOf(error)}; choose --output`,
      { cause: error },
    );
  }
  if (context.json) {
    context.print(JSON.stringify({ path, bytes: bytes.length, files: files.map((f) => f.name) }));
  } else {
    context.print(`Wrote ${path} (${Math.ceil(bytes.length / 1024)} KiB, ${files.length} files)`);
    context.print("It has addresses and host names, and no keys, tokens or passwords.");
  }
}

const json = (value: unknown) => JSON.stringify(value, undefined, 2) + "\n";
