/**
 * What the control plane's refusals mean for a person, and what to do about them.
 *
 * @module
 */
import { ApiFailure } from "../api/mod.ts";
import { AgentError } from "../errors.ts";

/** The control plane said no: trying again cannot help until somebody changes something. */
export class OnboardRefusal extends AgentError {
  override name = "OnboardRefusal";
}

/** What lets a host in: a registration key, or a user's token. */
export type Standing =
  | { kind: "reg-key"; token: string }
  | {
    kind: "user";
    token: string;
    /** Undefined: the user's own VPC. */
    vpcId?: string;
    /** Undefined: the VPC's default group. */
    securityGroupId?: string;
  };

const KEY_REFUSED = "The control plane refused the registration key: it is unknown or has " +
  "expired; create a new one there and pass it with --reg-key";
const USER_REFUSED = "The control plane refused the user's sign-in; sign in again, with nexd " +
  "logout first if it stays so";

/** How sentences begin that tell of a key that is registered already. */
export const REGISTERED = "This host's key is";

/** Waits for a call; a refusal becomes a sentence with a remedy, other failures stay. */
export async function explain<T>(
  call: Promise<T>,
  sentence: (failure: ApiFailure) => string | undefined,
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.kind !== "status" || error.transient) throw error;
    const { message } = error;
    throw new OnboardRefusal(
      sentence(error) ?? `${message}; check the service URL and how this host signs in`,
      { cause: error },
    );
  }
}

/** The sentence for a credential that is not accepted, if that is what the failure says. */
export function credentialRefused(standing: Standing, failure: ApiFailure): string | undefined {
  if (failure.status !== 401 && failure.status !== 403) return undefined;
  return standing.kind === "reg-key" ? KEY_REFUSED : USER_REFUSED;
}

/** Whether what is refused is the registration key itself, and not something that it asked for. */
export function isKeyRefused(error: unknown): boolean {
  return error instanceof OnboardRefusal && error.message === KEY_REFUSED;
}

/** Whether the host's key is registered, as a device that the credential may not change. */
export function isRegisteredToOthers(error: unknown): boolean {
  return error instanceof OnboardRefusal && error.message.startsWith(REGISTERED);
}

/** Whether what failed is the credential itself: a user can sign in anew. */
export function isUnauthorized(error: unknown): boolean {
  const failure = error instanceof OnboardRefusal ? error.cause : error;
  return failure instanceof ApiFailure && failure.status === 401;
}

/** What `POST /api/devices` was refused for. */
export function refusalOfCreate(standing: Standing, error: unknown): unknown {
  if (!(error instanceof ApiFailure) || error.kind !== "status" || error.transient) return error;
  const { error: said, field } = error.detail;
  const refusal = (text: string) => new OnboardRefusal(text, { cause: error });
  if (said?.includes("exhausted")) {
    return refusal(
      "The single-use registration key has already registered a device; " +
        "create a new key and pass it with --reg-key",
    );
  }
  if (field === "vpc_id") {
    return refusal(
      "The registration key is for another VPC than the one it names; " +
        "create a new key and pass it with --reg-key",
    );
  }
  const resource = error.detail.resource ?? "";
  if (error.status === 404 && resource.startsWith("security_group")) return refusal(GROUP_GONE);
  if (error.status === 409) {
    return refusal(
      `${REGISTERED} registered as a device of another user; ` +
        "have that device deleted, or run nexd logout to start with a new key",
    );
  }
  const credential = credentialRefused(standing, error);
  if (credential !== undefined) return refusal(credential);
  return refusal(
    `The control plane refused to register this host: ${said ?? `status ${error.status}`}` +
      `${field === undefined ? "" : ` (${field})`}`,
  );
}

/** The group that was asked for is none of the VPC. */
export const GROUP_GONE = "The VPC has no such security group; give another --security-group-id, " +
  "or a registration key without a group";
