/**
 * The property list of a service of launchd, as text: launchd.plist(5).
 *
 * @module
 */
import { usageError } from "../../errors.ts";
import { xmlText } from "../put.ts";

/** In what we wrote: other people's lists are left alone. */
export const MARK = "<!-- Written by nexd install. Changes are lost at the next one. -->";

/** The list. launchd starts the service with the system, and again whenever it ends. */
export function plistText(label: string, command: readonly string[]): string {
  const bad = command.find((word) => /[\p{Cc}]/u.test(word));
  if (bad !== undefined) throw usageError(`${JSON.stringify(bad)} cannot be in a property list`);
  const words = command.map((word) => `    <string>${xmlText(word)}</string>`).join("\n");
  // launchd's own PATH has not the directories of Homebrew, where wireguard-go is. They come last, as
  // they are a user's, and this runs as root. Its limit of 256
  // open files is below a socket for each relayed peer.
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
${MARK}
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${xmlText(label)}</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
    <key>PATH</key>
    <string>/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/opt/homebrew/bin:/opt/local/bin</string>
    <key>NO_COLOR</key>
    <string>1</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>ExitTimeOut</key>
  <integer>30</integer>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>Umask</key>
  <integer>63</integer>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>65536</integer>
  </dict>
  <key>HardResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>65536</integer>
  </dict>
</dict>
</plist>
`;
}
