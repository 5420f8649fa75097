/** Where the system keeps the names of hosts: hosts(5), on Windows below the system's directory. */
export function hostsFilePath(
  os: typeof Deno.build.os = Deno.build.os,
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): string {
  return os === "windows"
    ? `${env("SystemRoot") ?? "C:\\Windows"}\\System32\\drivers\\etc\\hosts`
    : "/etc/hosts";
}
