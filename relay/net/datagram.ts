/**
 * Errors of a UDP socket that are about one datagram.
 *
 * Windows tells a socket that receives of a datagram sent before that could not be delivered
 * (WSAECONNRESET 10054, WSAENETRESET 10052), and of one that is larger than the buffer (WSAEMSGSIZE
 * 10040), which other systems cut:
 * https://learn.microsoft.com/windows/win32/api/winsock2/nf-winsock2-wsarecvfrom
 */
export function isOneDatagram(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    (error instanceof Error && /\bos error 100(40|52|54)\b/.test(error.message));
}
