/**
 * Who may log in to the relay: an allow-list file, an HTTP call-out, the tailscaled of this host, a
 * list of keys from the control plane, or all of these at once. Without any of them: everybody.
 *
 * @module
 */
export {
  Admission,
  type AdmissionConfig,
  type AdmissionCounters,
  type Admit,
} from "./admission.ts";
