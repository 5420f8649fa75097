/**
 * How the demo looks: one line a step with the time since the start, a spinner where the output is a
 * terminal, and the same lines without colours or motion where it is not.
 *
 * @module
 */

import { styleText } from "node:util";

/** A finished step, for the JSON output too. */
export interface StepRecord {
  name: string;
  ok: boolean;
  /** ms the step took */
  ms: number;
  detail: string;
}

/** Reports how a running step goes, in a few words. */
export type Report = (progress: string) => void;

type Style = Parameters<typeof styleText>[0];

const SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const TITLE_WIDTH = 20;
/** Column where a step's detail begins: time, mark, title. */
const DETAIL_COLUMN = 8 + 2 + TITLE_WIDTH;
/** Without a terminal, a step that takes this long says so, in ms. */
const STILL_MS = 10_000;

/** What the screen needs of its surroundings. */
export interface ScreenOptions {
  write(text: string): void;
  /** A terminal, on which lines can be drawn again. */
  live: boolean;
  color: boolean;
  /** Columns; Infinity where lines may be of any length. */
  width(): number;
}

/** The screen of this program, or one that shows nothing. */
export function screenOf(quiet: boolean): Screen {
  const live = Deno.stdout.isTerminal();
  const encoder = new TextEncoder();
  return new Screen({
    write: (text) => {
      if (quiet) return;
      try {
        Deno.stdout.writeSync(encoder.encode(text));
      } catch (error) {
        // Nobody reads any more (`| head`); the course and its clean end matter, not the words.
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      }
    },
    live: live && !quiet,
    color: live && !Deno.env.get("NO_COLOR"),
    width: () => live ? Deno.consoleSize().columns : Infinity,
  });
}

/** Draws the demo and keeps its record. */
export class Screen {
  readonly #options: ScreenOptions;
  readonly #start = performance.now();
  readonly steps: StepRecord[] = [];
  #silent = false;

  constructor(options: ScreenOptions) {
    this.#options = options;
  }

  /** Seconds since the screen was made. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Colours text, where there are colours. */
  style(style: Style, text: string): string {
    return this.#options.color ? styleText(style, text, { validateStream: false }) : text;
  }

  /** Shows nothing more of the steps, the running one included; lines are still printed. */
  silence(): void {
    this.#silent = true;
    if (this.#options.live) this.#options.write("\r\x1b[K");
  }

  /** Prints a line as it is. */
  line(text = ""): void {
    this.#options.write(text + "\n");
  }

  /** Prints lines under a step, aligned with nothing but each other. */
  block(lines: string[]): void {
    if (this.#silent) return;
    const width = Math.max(40, this.#options.width() - 4);
    for (const line of lines) {
      const [first = "", ...rest] = chunk(line, width, width - 4);
      this.line(this.style("dim", `    ${first}`).trimEnd());
      for (const part of rest) this.line(this.style("dim", `        ${part}`));
    }
  }

  /**
   * Runs one step and shows it: live while it runs, then with its outcome. The step returns its
   * detail; when it throws, the line shows the reason and the error goes on.
   */
  async step(title: string, run: (report: Report) => Promise<string>): Promise<void> {
    const started = performance.now();
    let progress = "";
    const draw = this.#animate(title, () => progress);
    const finish = (ok: boolean, detail: string) => {
      draw.stop();
      this.#result(title, ok, detail);
      this.steps.push({ name: title, ok, ms: Math.round(performance.now() - started), detail });
    };
    try {
      finish(true, await run((text) => progress = text));
    } catch (error) {
      finish(false, (error as Error).message);
      throw error;
    }
  }

  #result(title: string, ok: boolean, detail: string): void {
    if (this.#silent) return;
    const mark = ok ? this.style("green", "✓") : this.style("red", "✗");
    const name = this.style(ok ? "bold" : ["bold", "red"], title.padEnd(TITLE_WIDTH));
    const width = Math.max(20, this.#options.width() - DETAIL_COLUMN);
    const lines = detail.split("\n").flatMap((line) => wrap(line, width));
    this.line(`${this.#time()} ${mark} ${name}${lines[0] ?? ""}`);
    for (const line of lines.slice(1)) this.line(" ".repeat(DETAIL_COLUMN) + line);
  }

  #time(): string {
    return this.style("dim", `${this.seconds.toFixed(1)} s`.padStart(7));
  }

  #animate(title: string, progress: () => string): { stop(): void } {
    if (!this.#options.live) {
      const timer = setInterval(() => {
        if (this.#silent) return;
        this.line(`${this.#time()} … ${title.padEnd(TITLE_WIDTH)}${progress()}`);
      }, STILL_MS);
      return { stop: () => clearInterval(timer) };
    }
    let frame = 0;
    const draw = () => {
      if (this.#silent) return;
      const sign = this.style("cyan", SPINNER[frame++ % SPINNER.length]!);
      const room = Math.max(0, this.#options.width() - DETAIL_COLUMN - 1);
      const text = this.style("dim", progress().slice(0, room));
      this.#options.write(`\r\x1b[K${this.#time()} ${sign} ${title.padEnd(TITLE_WIDTH)}${text}`);
    };
    draw();
    const timer = setInterval(draw, 100);
    return {
      stop: () => {
        clearInterval(timer);
        if (!this.#silent) this.#options.write("\r\x1b[K");
      },
    };
  }
}

/** Breaks a line at spaces; a word longer than the width stays whole. */
export function wrap(text: string, width: number): string[] {
  const [first = "", ...words] = text.split(" ");
  const lines = [first];
  for (const word of words) {
    const line = lines.at(-1)!;
    if (line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}

/** Cuts a line of a table between cells: the first part to one width, the rest to another. */
function chunk(text: string, first: number, rest: number): string[] {
  if (text.length <= first) return [text];
  const space = text.lastIndexOf(" ", first);
  const at = space > first / 2 ? space : first;
  return [text.slice(0, at).trimEnd(), ...chunk(text.slice(at).trimStart(), rest, rest)];
}
