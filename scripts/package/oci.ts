/**
 * The container image, as a layout of the Open Container Initiative in one archive: two layers, what the
 * runtime needs of Debian and the program. No shell, no package manager, a user without rights.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { dirname } from "node:path";
import type { PackOptions } from "./deb.ts";
import { PackageError } from "./errors.ts";
import { type Executable, noticesOf, withoutShell } from "./executable.ts";
import { type Facts, LICENSE, NAME, ROOT, SUMMARY } from "./facts.ts";
import { run } from "./run.ts";
import { type Member, tar } from "./tar.ts";
import { HOME } from "./tree.ts";

/** The user that everything runs as. */
export const USER = 65532;

/** Where Debian keeps the certificates of public CAs. */
const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";

const text = (content: string) => new TextEncoder().encode(content);

/** Paths of the libraries that a program is linked with, its loader included. */
export function librariesOf(told: string): string[] {
  const paths = told.split("\n").flatMap((line) =>
    line.match(/(?:=> |^\s*)(\/\S+) \(0x/)?.slice(1, 2) ?? []
  );
  return [...new Set(paths)].sort();
}

/** The layer below the program. */
async function base(executable: Executable): Promise<Member[]> {
  const files: Member[] = [];
  const add = async (path: string, from = path) => {
    const mode = (await Deno.stat(from)).mode! & 0o755;
    files.push({ kind: "file", path: path.slice(1), mode, content: await Deno.readFile(from) });
  };
  const runtime = `${executable.directory}/${executable.runtime}`;
  const owners = new Set<string>();
  for (const library of librariesOf(await run("ldd", [runtime], { from: "libc-bin" }))) {
    await add(library);
    const real = await Deno.realPath(library);
    // Before the merge of /usr its database has the path without it.
    const told = await run("dpkg-query", ["-S", real], { from: "dpkg" })
      .catch(() => run("dpkg-query", ["-S", real.replace(/^\/usr/, "")], { from: "dpkg" }));
    owners.add(told.split(":")[0]!);
  }
  if (await Deno.stat(CERTIFICATES).then(() => true, () => false)) {
    await add(CERTIFICATES);
    owners.add("ca-certificates");
  } else {
    throw new PackageError(`Cannot find ${CERTIFICATES}: install ca-certificates`);
  }
  for (const owner of [...owners].sort()) await add(`/usr/share/doc/${owner}/copyright`);
  const written = {
    "etc/passwd": `root:x:0:0:root:/:/none\nnexd:x:${USER}:${USER}:nexd:/var/lib/nexd:/none\n`,
    "etc/group": `root:x:0:\nnexd:x:${USER}:\n`,
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  };
  for (const [path, content] of Object.entries(written)) {
    files.push({ kind: "file", path, mode: 0o644, content: text(content) });
  }
  return files;
}

/** The layer with the program, its state and its run directory. */
async function program(executable: Executable): Promise<Member[]> {
  const home = HOME.slice(1), { file } = withoutShell(HOME);
  const files = await Promise.all(executable.files.map(async ({ name, mode }): Promise<Member> => ({
    kind: "file",
    path: `${home}/${name}`,
    mode,
    content: await Deno.readFile(`${executable.directory}/${name}`),
  })));
  return [
    ...files,
    { kind: "file", path: `${home}/${file.name}`, mode: 0o644, content: text(file.text) },
    {
      kind: "file",
      path: "usr/share/doc/nexd/LICENSE",
      mode: 0o644,
      content: await Deno.readFile(`${ROOT}LICENSE`),
    },
    {
      kind: "file",
      path: "usr/share/doc/nexd/NOTICES",
      mode: 0o644,
      content: text(await noticesOf(executable)),
    },
    { kind: "directory", path: "var/lib/nexd", mode: 0o700, uid: USER },
    { kind: "directory", path: "run/nexd", mode: 0o700, uid: USER },
    { kind: "directory", path: "tmp", mode: 0o1777 },
    // For who starts it with a root that cannot be written to.
    ...["dev", "proc", "sys"].map((path): Member => ({ kind: "directory", path, mode: 0o755 })),
  ];
}

/** Adds the directories above the members and puts all in order. */
export function withDirectories(members: readonly Member[]): Member[] {
  const all = new Map(members.map((member) => [member.path, member]));
  for (const { path } of members) {
    for (let above = dirname(path); above !== "."; above = dirname(above)) {
      if (!all.has(above)) all.set(above, { kind: "directory", path: above, mode: 0o755 });
    }
  }
  return [...all.values()].sort((a, b) => a.path < b.path ? -1 : 1);
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Writes the image; returns its path. The same input gives the same bytes. */
export async function makeImage(
  executable: Executable,
  facts: Facts,
  { output, quick }: PackOptions,
): Promise<string> {
  const { epoch, version, machine } = facts;
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const put = (mediaType: string, bytes: Uint8Array<ArrayBuffer>) => {
    const sum = sha256(bytes);
    blobs.set(sum, bytes);
    return { mediaType, digest: `sha256:${sum}`, size: bytes.length };
  };
  const layers = [await base(executable), await program(executable)].map((members) => {
    const bytes = tar(withDirectories(members), epoch);
    const packed = new Uint8Array(gzipSync(bytes, { level: quick ? 1 : 9 }));
    return {
      id: `sha256:${sha256(bytes)}`,
      descriptor: put("application/vnd.oci.image.layer.v1.tar+gzip", packed),
    };
  });
  const created = new Date(epoch * 1000).toISOString().replace(".000", "");
  const labels = {
    "org.opencontainers.image.title": NAME,
    "org.opencontainers.image.description": SUMMARY,
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.licenses": LICENSE,
    "org.opencontainers.image.created": created,
  };
  const json = (value: unknown) => text(JSON.stringify(value)) as Uint8Array<ArrayBuffer>;
  const config = put(
    "application/vnd.oci.image.config.v1+json",
    json({
      created,
      architecture: machine.oci,
      os: "linux",
      config: {
        User: `${USER}:${USER}`,
        ExposedPorts: { "443/tcp": {}, "80/tcp": {}, "3478/udp": {} },
        Env: [
          `PATH=${HOME}/runtime`,
          "HOME=/var/lib/nexd",
          "NO_COLOR=1",
          "DENO_DIR=/dev/null/none",
          "DENO_NO_UPDATE_CHECK=1",
          "NEXD_DERP_CONFIG_PATH=/var/lib/nexd/relay.key",
          "NEXD_DERP_CERT_DIR=/var/lib/nexd/certs",
          "NEXD_DERP_RUN_DIR=/run/nexd",
          "NEXD_CONTROL_STATE_DIR=/var/lib/nexd/control",
          "NEXD_SERVE_STATE_DIR=/var/lib/nexd/serve",
        ],
        Entrypoint: withoutShell(HOME).entrypoint,
        Cmd: ["relayderp"],
        WorkingDir: "/var/lib/nexd",
        Volumes: { "/var/lib/nexd": {} },
        StopSignal: "SIGTERM",
        Labels: labels,
      },
      rootfs: { type: "layers", diff_ids: layers.map(({ id }) => id) },
      history: [
        { created, created_by: "libraries and certificates of Debian" },
        { created, created_by: `nexd ${version}` },
      ],
    }),
  );
  const manifestType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = put(
    manifestType,
    json({
      schemaVersion: 2,
      mediaType: manifestType,
      config,
      layers: layers.map(({ descriptor }) => descriptor),
      annotations: labels,
    }),
  );
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{
      ...manifest,
      platform: { architecture: machine.oci, os: "linux" },
      annotations: { "org.opencontainers.image.ref.name": version },
    }],
  };
  const file = (path: string, content: Uint8Array): Member => ({
    kind: "file",
    path,
    mode: 0o644,
    content,
  });
  const bytes = tar(
    withDirectories([
      file("oci-layout", json({ imageLayoutVersion: "1.0.0" })),
      file("index.json", json(index)),
      ...[...blobs].map(([sum, content]) => file(`blobs/sha256/${sum}`, content)),
    ]),
    epoch,
  );
  const path = `${output}/${NAME}-${version}-${machine.oci}.oci.tar`;
  await Deno.writeFile(path, bytes);
  return path;
}
