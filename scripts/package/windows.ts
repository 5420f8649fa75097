/**
 * What installs the agent on Windows: scripts that put the program where only administrators can
 * change it. The service itself, a task of the system's scheduler, is `nexd install`'s.
 *
 * @module
 */

const INSTALL =
  `# Installs nexd.exe, which lies beside this script, and runs the agent as a service.
# Run it as an administrator, with the options of "nexd install"; again, it upgrades:
#   .\\install.ps1 --reg-key https://HOST#RK:...
#Requires -RunAsAdministrator
$ErrorActionPreference = 'Stop'
$source = Join-Path $PSScriptRoot 'nexd.exe'
if (-not (Test-Path -LiteralPath $source -PathType Leaf)) {
  throw 'There is no nexd.exe beside this script'
}
$program = Join-Path $env:ProgramFiles 'nexd'
New-Item -ItemType Directory -Force -Path $program | Out-Null
$target = Join-Path $program 'nexd.exe'
# A program that runs cannot be replaced, but it can be moved aside.
Get-ChildItem -LiteralPath $program -Filter 'nexd.exe.old-*' |
  Remove-Item -Force -ErrorAction SilentlyContinue
if (Test-Path -LiteralPath $target) {
  Move-Item -LiteralPath $target -Destination "$target.old-$PID"
}
Copy-Item -LiteralPath $source -Destination $target
$path = [Environment]::GetEnvironmentVariable('Path', 'Machine')
if (($path -split ';') -notcontains $program) {
  [Environment]::SetEnvironmentVariable('Path', "$path;$program", 'Machine')
}
& (Join-Path $program 'nexd.exe') install @args
exit $LASTEXITCODE
`;

const UNINSTALL =
  `# Ends the agent and removes what install.ps1 made; with -Purge settings and keys too.
#Requires -RunAsAdministrator
param([switch]$Purge)
$ErrorActionPreference = 'Stop'
$program = Join-Path $env:ProgramFiles 'nexd'
$nexd = Join-Path $program 'nexd.exe'
if (Test-Path -LiteralPath $nexd) {
  & $nexd uninstall
  if ($LASTEXITCODE -ne 0) { throw "nexd uninstall failed with status $LASTEXITCODE" }
  # The task is gone; what it started may take a moment to be.
  Get-Process -Name 'nexd' -ErrorAction SilentlyContinue |
    Where-Object { $_.Path -eq $nexd } |
    Wait-Process -Timeout 30
}
if (Test-Path -LiteralPath $program) { Remove-Item -Recurse -Force -LiteralPath $program }
$path = [Environment]::GetEnvironmentVariable('Path', 'Machine')
$others = ($path -split ';') | Where-Object { $_ -ne $program }
[Environment]::SetEnvironmentVariable('Path', ($others -join ';'), 'Machine')
$data = Join-Path $env:ProgramData 'nexd'
if ($Purge -and (Test-Path -LiteralPath $data)) { Remove-Item -Recurse -Force -LiteralPath $data }
`;

/** Every file by its name; lines end as on Windows. */
export function windowsFiles(): Record<string, string> {
  const files = { "install.ps1": INSTALL, "uninstall.ps1": UNINSTALL };
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, text.replaceAll("\n", "\r\n")]),
  );
}
