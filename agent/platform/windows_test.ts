import assert from "node:assert/strict";
import { isAdministrator, protectDirectory, systemProgram, type WindowsHost } from "./mod.ts";

/**
 * `whoami /groups /fo csv /nh` in German and in English, its columns as in the documentation of
 * whoami: name, kind, SID, attributes. Only the SIDs are the same everywhere; the label of the
 * integrity level is S-1-16-8192 (medium), -12288 (high), -16384 (system).
 * https://learn.microsoft.com/windows-server/administration/windows-commands/whoami
 */
const GROUPS = (level: string, label: string) =>
  `"VORDEFINIERT\\Administratoren","Alias","S-1-5-32-544","Verbindliche Gruppe"\r\n` +
  `"Verbindliche Beschriftung\\${label}","Bezeichnung","S-1-16-${level}",""\r\n`;

function host(change: Partial<WindowsHost> = {}, whoami = ""): [WindowsHost, string[]] {
  const lines: string[] = [];
  return [{
    run: (program, args) => {
      lines.push([program, ...args].join(" "));
      return Promise.resolve({ code: 0, stdout: whoami, stderr: "" });
    },
    env: (name) => name === "SystemRoot" ? "D:\\Windows" : undefined,
    lstat: () => Promise.resolve({ isSymlink: false }),
    async *names() {
      yield await Promise.resolve({ name: "state.json", isSymlink: false });
    },
    ...change,
  }, lines];
}

Deno.test("administrators are told by their integrity level, in every language", async () => {
  const level = (number: string, label: string) =>
    isAdministrator(host({}, GROUPS(number, label))[0]);
  assert.equal(await level("12288", "Hohe Verbindlichkeitsstufe"), true);
  assert.equal(await level("16384", "System Mandatory Level"), true);
  assert.equal(await level("8192", "Mittlere Verbindlichkeitsstufe"), false);
  assert.equal(await level("122880", "none that there is"), false);
});

Deno.test("a directory and what is in it become the administrators' and the system's", async () => {
  const [system, lines] = host();
  await protectDirectory("C:\\ProgramData\\nexd", system);
  const dir = "C:\\ProgramData\\nexd", bin = "D:\\Windows\\System32";
  assert.deepEqual(lines, [
    `${bin}\\takeown.exe /f ${dir} /a`,
    `${bin}\\icacls.exe ${dir} /inheritance:r /q ` +
    "/grant:r *S-1-5-18:(OI)(CI)F /grant:r *S-1-5-32-544:(OI)(CI)F",
    `${bin}\\takeown.exe /f ${dir}\\state.json /a`,
    `${bin}\\icacls.exe ${dir}\\state.json /reset /q`,
  ]);
});

Deno.test("a directory that leads elsewhere, or a link in it, is refused", async () => {
  const link = () => Promise.resolve({ isSymlink: true });
  const [outer, lines] = host({ lstat: link });
  await assert.rejects(protectDirectory("C:\\x", outer), /Cannot use C:\\x: it leads elsewhere/);
  assert.deepEqual(lines, []);
  const [inner] = host({
    async *names() {
      yield await Promise.resolve({ name: "state.json", isSymlink: true });
    },
  });
  await assert.rejects(protectDirectory("C:\\x", inner), /C:\\x\\state\.json: it leads elsewhere/);
  const [poor] = host({
    run: () => Promise.resolve({ code: 5, stdout: "", stderr: "Zugriff verweigert" }),
  });
  await assert.rejects(protectDirectory("C:\\x", poor), /Zugriff verweigert; run nexd as admin/);
});

Deno.test("programs of the system are called by their whole path", () => {
  assert.equal(systemProgram("sc.exe", () => undefined), "C:\\Windows\\System32\\sc.exe");
});
