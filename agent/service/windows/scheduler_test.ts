import assert from "node:assert/strict";
import { installTask, type TaskOptions, uninstallTask } from "./mod.ts";
import { MARK, taskText, utf16 } from "./task.ts";

const SERVICE = {
  launcher: ["C:\\Program Files\\nexd\\nexd.exe"],
  words: [],
  variables: new Map([["NEXD_REG_KEY", "https://h#RK:secret"]]),
};
const DIR = "C:\\ProgramData\\nexd";

/** schtasks in memory. It speaks German: only its statuses and its XML are to be relied on. */
function windows(): {
  options: TaskOptions;
  calls: string[];
  files: Map<string, string | Uint8Array>;
  task: { xml: string | undefined };
} {
  const calls: string[] = [], files = new Map<string, string | Uint8Array>();
  const task: { xml: string | undefined } = { xml: undefined };
  const environment: Record<string, string> = {
    ProgramData: "C:\\ProgramData",
    ProgramFiles: "C:\\Program Files",
    SystemRoot: "C:\\Windows",
  };
  const run: TaskOptions["run"] = (program, args) => {
    assert.equal(program, "C:\\Windows\\System32\\schtasks.exe");
    const say = (code: number, stdout = "", stderr = "") =>
      Promise.resolve({ code, stdout, stderr });
    if (args[0] !== "/query") calls.push(args.join(" "));
    const missing = "FEHLER: Das System kann die angegebene Datei nicht finden.\r\n";
    switch (args[0]) {
      case "/query":
        return task.xml === undefined ? say(1, "", missing) : say(0, task.xml);
      case "/create":
        if (task.xml !== undefined && !args.includes("/f")) return say(1, "", missing);
        task.xml = new TextDecoder("utf-16le").decode(files.get(args[4]!) as Uint8Array);
        return say(0, "ERFOLGREICH: Die geplante Aufgabe wurde erstellt.\r\n");
      case "/delete":
        task.xml = undefined;
        return say(0);
      case "/end":
        return say(1, "", "FEHLER: Es wird keine Instanz der Aufgabe ausgeführt.\r\n");
      default:
        return task.xml === undefined ? say(1, "", missing) : say(0);
    }
  };
  const options: TaskOptions = {
    ...{ name: "nexd", dryRun: false, run, tell: () => {} },
    stop: () => Promise.resolve(calls.push("(stop)")),
    files: {
      read: (path) => Promise.resolve(files.get(path) as string | undefined),
      write: (path, data) => Promise.resolve(void files.set(path, data)),
      remove: (path) => Promise.resolve(void files.delete(path)),
      protect: (path) => Promise.resolve(void calls.push(`(protect ${path})`)),
      env: (name) => environment[name],
    },
  };
  return { options, calls, files, task };
}

Deno.test("task is made, run, ended by itself before it runs anew, and taken away", async () => {
  const { options, calls, files, task } = windows();
  const create = `/create /tn nexd /xml ${DIR}\\nexd.xml`;
  await installTask(SERVICE, options);
  assert.deepEqual(calls.splice(0), [`(protect ${DIR})`, create, "/run /tn nexd"]);
  assert.deepEqual([...files.keys()], [`${DIR}\\nexd.json`]);
  assert(task.xml!.includes("<Command>C:\\Program Files\\nexd\\nexd.exe</Command>"));
  assert(task.xml!.includes(`<Arguments>service-run ${DIR}\\nexd.json</Arguments>`));
  assert(!task.xml!.includes("secret"));

  await installTask({ ...SERVICE, variables: undefined }, options);
  assert.deepEqual(calls.splice(0), [
    ...[`(protect ${DIR})`, `${create} /f`, "(stop)", "/run /tn nexd"],
  ]);
  assert.deepEqual(JSON.parse(files.get(`${DIR}\\nexd.json`) as string), {
    words: [],
    log: `${DIR}\\nexd.log`,
    variables: { NEXD_REG_KEY: "https://h#RK:secret" },
  });

  await uninstallTask(options);
  assert.deepEqual(calls.splice(0), [
    ...["/change /tn nexd /disable", "(stop)", "/end /tn nexd", "/delete /tn nexd /f"],
  ]);
  assert.equal(files.size, 0);
  await uninstallTask(options);
  assert.deepEqual(calls, []);
});

Deno.test("tasks of others are left alone, and a dry run changes nothing", async () => {
  const { options, calls, files, task } = windows();
  const told: string[] = [];
  await installTask(SERVICE, { ...options, dryRun: true, tell: (line) => told.push(line) });
  assert.deepEqual([calls, files.size, task.xml], [[], 0, undefined]);
  assert(told.some((line) => line.includes("<BootTrigger>")));
  assert(!told.join().includes("secret"));
  task.xml = "<Task><RegistrationInfo><Author>x</Author></RegistrationInfo></Task>";
  await assert.rejects(installTask(SERVICE, options), /not made by nexd install; delete or rename/);
  await assert.rejects(uninstallTask(options), /not made by nexd install/);
  assert.deepEqual(calls, []);
  // As some versions print it.
  task.xml = [...MARK].join("\0");
  await uninstallTask(options);
  assert.equal(task.xml, undefined);
});

Deno.test("a program that others could replace does not become a service", async () => {
  const { options, calls } = windows();
  for (
    const program of [
      "C:\\Users\\x\\Downloads\\nexd.exe",
      "C:\\Program Files\\..\\Users\\x\\nexd.exe",
      "C:\\Program Files (x)\\nexd.exe",
    ]
  ) {
    await assert.rejects(
      installTask({ ...SERVICE, launcher: [program] }, options),
      {
        exitCode: 2,
        message: /others could replace it there; put it into C:\\Program Files\\nexd/,
      },
    );
  }
  assert.deepEqual(calls, []);
});

Deno.test("task's text is well-formed, escaped, and in the encoding it names", () => {
  const text = taskText(["C:\\a & b\\nexd.exe", "service-run", "C:\\Program Data\\x.json"]);
  assert.match(text, /<Command>C:\\a &#38; b\\nexd\.exe<\/Command>/);
  assert.match(text, /<Arguments>service-run &#34;C:\\Program Data\\x\.json&#34;<\/Arguments>/);
  const open: string[] = [];
  for (const [, close, name] of text.matchAll(/<(\/?)([A-Za-z]+)[^>]*>/g)) {
    if (close) assert.equal(open.pop(), name);
    else open.push(name!);
  }
  assert.deepEqual(open, []);
  const bytes = utf16("<é");
  assert.deepEqual([...bytes], [0xff, 0xfe, 0x3c, 0, 0xe9, 0]);
  for (const bad of ['a"b', "C:\\x\\", "a\nb"]) {
    assert.throws(() => taskText(["nexd.exe", bad]), { exitCode: 2 });
  }
});
