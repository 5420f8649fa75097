/**
 * The definition of a task that runs like a service, as text.
 *
 * https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema
 *
 * @module
 */
import { usageError } from "../../errors.ts";
import { xmlText } from "../put.ts";

/** In what we wrote: other people's tasks are left alone. */
export const MARK = "<Source>nexd install</Source>";

/**
 * The definition. It runs as the local system from the start of Windows on, without limits of time or
 * of batteries. The scheduler's own restart is for tasks that could not be started, not for those
 * that ended ([MS-TSCH] 2.5.4.2): so it is started each minute as well, which does nothing while it
 * runs.
 */
export function taskText(command: readonly string[]): string {
  const [program = "", ...args] = command;
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    ${MARK}
    <Description>nexd, WireGuard mesh. Changes are lost at the next nexd install.</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
    </BootTrigger>
    <TimeTrigger>
      <Repetition>
        <Interval>PT1M</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2020-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="System">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>4</Priority>
  </Settings>
  <Actions Context="System">
    <Exec>
      <Command>${xmlText(program)}</Command>
      <Arguments>${xmlText(args.map(argument).join(" "))}</Arguments>
    </Exec>
  </Actions>
</Task>
`.replaceAll("\n", "\r\n");
}

/** One word of a command line (CommandLineToArgvW): a quote, and a backslash before one, are refused. */
function argument(text: string): string {
  if (/["\p{Cc}]|\\$/u.test(text)) {
    throw usageError(`${JSON.stringify(text)} cannot be in a task: choose a plain path`);
  }
  return /[\s]/.test(text) || text === "" ? `"${text}"` : text;
}

/** As `schtasks` wants it: little-endian UTF-16 with its mark. */
export function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(2 + text.length * 2);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xfeff, true);
  for (let i = 0; i < text.length; i++) view.setUint16(2 + 2 * i, text.charCodeAt(i), true);
  return bytes;
}
