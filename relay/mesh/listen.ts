/**
 * What the other side of a link says: who is there, and who went.
 */
import {
  decodePeerGone,
  decodePeerPresent,
  decodePing,
  encodePong,
  type Frame,
  FrameType,
} from "../derp/mod.ts";
import {
  ALL_TOLD,
  type Link,
  openMark,
  openSiblingPresent,
  type RelayServer,
} from "../server/mod.ts";
import { MeshError } from "./error.ts";
import { type FrameStream, type Stream, tryClose } from "./stream.ts";

/** How often silence is looked for. */
const LOOK_MS = 5_000;

/** What else than keys the other side may tell. */
interface Heard {
  restarting?: () => void;
  allHeard?: () => void;
}

/**
 * Reads a link until it ends, and keeps the relay's tables. Then everything learned is forgotten.
 *
 * @param readMs the link ends when nothing comes for so long
 * @param on.restarting called each time when the other side says that it will stop
 * @param on.allHeard called when all is known that a sibling had when it was asked
 * @throws the error that ended the link; it returns at a clean end of the stream
 */
export async function listen(
  relay: RelayServer,
  link: Link,
  stream: Stream,
  frames: FrameStream,
  readMs: number,
  on: Heard = {},
): Promise<void> {
  let silent = false;
  const timer = setInterval(() => {
    if (performance.now() - frames.heardAt < readMs) return;
    silent = true;
    tryClose(stream);
  }, Math.min(LOOK_MS, readMs / 2));
  try {
    for (;;) {
      for (let frame = frames.waiting(); frame !== undefined; frame = frames.waiting()) {
        take(relay, link, frame, on);
      }
      if (!await frames.more()) return;
    }
  } catch (error) {
    throw silent ? new MeshError(`nothing came for ${readMs / 1000} s`) : error;
  } finally {
    clearInterval(timer);
    relay.region.closed(link);
  }
}

function take(
  relay: RelayServer,
  link: Link,
  { type, payload }: Frame,
  on: Heard,
): void {
  switch (type) {
    case FrameType.Restarting:
      return on.restarting?.();
    case FrameType.PeerPresent: {
      const { key } = decodePeerPresent(payload);
      const sibling = link.sibling ? openSiblingPresent(payload, type) : undefined;
      if (link.sibling && sibling === undefined) throw new MeshError("it sent a broken frame");
      if (!relay.region.present(link, key, sibling)) throw new MeshError("it has too many keys");
      return;
    }
    case FrameType.PeerGone:
      return relay.region.gone(link, decodePeerGone(payload).key);
    case FrameType.Ping:
      link.control(encodePong(decodePing(payload)));
      if (link.sibling && openMark(payload, 0) === ALL_TOLD) on.allHeard?.();
      return;
      // KeepAlive, and whatever later versions say, only shows that the link lives.
  }
}
