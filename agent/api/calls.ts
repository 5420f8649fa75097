/**
 * The calls of the API, as those see them who make them.
 *
 * @module
 */
import type {
  AddDevice,
  Device,
  DeviceMetadata,
  PathReport,
  RegKey,
  RelayRegion,
  UpdateDevice,
  User,
  Vpc,
  Watch,
} from "../../control/api/types.ts";

/** Answer of `POST /device/login/start`. */
export type LoginStart = Record<
  "issuer" | "client_id" | "device_authorization_endpoint",
  unknown
>;

/** What the daemon and onboarding ask of a control plane. All throw `ApiFailure`. */
export interface Api {
  /** `GET /api/reg-keys/me`. */
  getRegKey(token: string, signal?: AbortSignal): Promise<RegKey>;
  /** `GET /api/vpcs/{id}`. */
  getVpc(token: string, id: string, signal?: AbortSignal): Promise<Vpc>;
  /** `GET /api/vpcs/{id}/devices`. */
  listDevices(token: string, vpcId: string, signal?: AbortSignal): Promise<Device[]>;
  /** `GET /api/relay-regions`; a control plane that is not ours refuses it. */
  listRelayRegions(token: string, signal?: AbortSignal): Promise<RelayRegion[]>;
  /** `GET /api/users/me`. */
  getUser(token: string, signal?: AbortSignal): Promise<User>;
  /** `DELETE /api/devices/{id}`. */
  deleteDevice(token: string, id: string, signal?: AbortSignal): Promise<Device>;
  /** `POST /device/login/start`: where users sign in. Its values are as the control plane gave them. */
  startLogin(signal?: AbortSignal): Promise<LoginStart>;
  /**
   * Asks another server, such as the issuer, with the same trust, times and bounds: a form, or a plain
   * GET. Any status is an answer; the body is what its JSON holds, or undefined.
   */
  request(
    url: URL,
    options: { form?: Record<string, string>; signal?: AbortSignal | undefined },
  ): Promise<{ status: number; body: unknown }>;
  /** `POST /api/devices`; one of status 409 carries the existing id. */
  createDevice(token: string, body: AddDevice, signal?: AbortSignal): Promise<Device>;
  /** `PATCH /api/devices/{id}`. */
  updateDevice(
    token: string,
    id: string,
    body: UpdateDevice,
    signal?: AbortSignal,
  ): Promise<Device>;
  /** `PUT /api/devices/{id}/metadata/{key}`. */
  putMetadata(
    token: string,
    id: string,
    key: string,
    value: Record<string, unknown>,
    signal?: AbortSignal,
  ): Promise<DeviceMetadata>;
  /** `PUT /api/devices/{id}/paths`; a control plane that is not ours refuses it. */
  tellPaths(token: string, id: string, report: PathReport, signal: AbortSignal): Promise<void>;
  /** `POST /api/events`: the byte stream of events. Waits at most 30 s for the answer's head. */
  openWatch(
    token: string,
    watches: Watch[],
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
  close(): void;
}
