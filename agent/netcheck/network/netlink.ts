/**
 * The kernel's messages about links, addresses and routes (rtnetlink(7)), read only as far as it
 * takes to tell whether the way to the Internet may have changed. Pure.
 *
 * @module
 */

/** Multicast groups of `struct sockaddr_nl`: links, addresses and routes of both IP versions. */
export const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

const HEADER = 16;
const NEW_LINK = 16, DEL_LINK = 17, NEW_ADDRESS = 20, DEL_ADDRESS = 21;
const NEW_ROUTE = 24, DEL_ROUTE = 25;
const ROUTE_OIF = 4;
const SCOPE_GLOBAL = 0;
const TYPE_UNICAST = 1;
/** Up, running, and the cable is in. */
const LINK_UP = 0x1 | 0x40 | 0x10000;
/** Most links whose state is remembered. */
const MAX_LINKS = 1024;

/** Remembers the links' states, because the kernel tells of them for many reasons. */
export type LinkStates = Map<number, number>;

/**
 * Why a batch of messages may mean another way to the Internet; undefined when it does not.
 *
 * @param ignored tells whether an interface is of no interest: the tunnel itself
 */
export function changeIn(
  batch: Uint8Array,
  links: LinkStates,
  ignored: (index: number) => boolean,
): string | undefined {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  let change: string | undefined;
  for (let at = 0; at + HEADER <= batch.length;) {
    const length = view.getUint32(at, true);
    if (length < HEADER || at + length > batch.length) break;
    const type = view.getUint16(at + 4, true);
    change = changeOf(view, type, at + HEADER, at + length, links, ignored) ?? change;
    at += (length + 3) & ~3;
  }
  return change;
}

function changeOf(
  view: DataView,
  type: number,
  at: number,
  end: number,
  links: LinkStates,
  ignored: (index: number) => boolean,
): string | undefined {
  switch (type) {
    case NEW_LINK:
    case DEL_LINK: {
      // struct ifinfomsg { u8 family, pad; u16 type; i32 index; u32 flags, change }
      if (end - at < 16) return undefined;
      const index = view.getInt32(at + 4, true);
      const state = type === DEL_LINK ? 0 : view.getUint32(at + 8, true) & LINK_UP;
      const before = links.get(index);
      if (type === DEL_LINK) links.delete(index);
      else if (links.size < MAX_LINKS || before !== undefined) links.set(index, state);
      // A link that is new has no address yet: that will be told.
      if (before === undefined || before === state || ignored(index)) return undefined;
      return "a network interface went up or down";
    }
    case NEW_ADDRESS:
    case DEL_ADDRESS: {
      // struct ifaddrmsg { u8 family, prefixlen, flags, scope; u32 index }
      if (end - at < 8 || view.getUint8(at + 3) !== SCOPE_GLOBAL) return undefined;
      return ignored(view.getUint32(at + 4, true)) ? undefined : "an address changed";
    }
    case NEW_ROUTE:
    case DEL_ROUTE: {
      // struct rtmsg { u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags }
      if (end - at < 12 || view.getUint8(at + 1) !== 0 || view.getUint8(at + 7) !== TYPE_UNICAST) {
        return undefined;
      }
      const index = attribute(view, at + 12, end, ROUTE_OIF);
      return index !== undefined && ignored(index) ? undefined : "a default route changed";
    }
    default:
      return undefined;
  }
}

/** A 32-bit attribute (`struct rtattr { u16 len, type }` before each value). */
function attribute(view: DataView, at: number, end: number, type: number): number | undefined {
  while (at + 8 <= end) {
    const length = view.getUint16(at, true);
    if (length < 4) return undefined;
    if (view.getUint16(at + 2, true) === type && length >= 8) return view.getUint32(at + 4, true);
    at += (length + 3) & ~3;
  }
  return undefined;
}
