import assert from "node:assert/strict";
import { isOneDatagram } from "./mod.ts";

Deno.test("a datagram that was lost is told from a socket that is broken", () => {
  // As the runtime words the system's errors, in any language.
  const german = "Eine vorhandene Verbindung wurde vom Remotehost geschlossen.";
  assert(isOneDatagram(new Deno.errors.ConnectionReset(`${german} (os error 10054)`)));
  assert(isOneDatagram(new Error("Eine Nachricht war größer als der Puffer. (os error 10040)")));
  assert(!isOneDatagram(new Error("Es steht kein Puffer bereit. (os error 10055)")));
  assert(!isOneDatagram(new Deno.errors.BadResource("Bad resource ID")));
  assert(!isOneDatagram("os error 10054"));
});
