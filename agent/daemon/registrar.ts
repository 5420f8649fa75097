/** Joining, as this agent is configured to. */
import { Registrar } from "../onboarding/mod.ts";
import type { AgentConfig } from "./config.ts";
import type { Doors } from "./doors.ts";

/** A registrar with the state that it begins with, and to whom it tells what is to be kept. */
export function newRegistrar(
  { join, vpcId, securityGroupId, hostname }: Pick<
    AgentConfig,
    "join" | "vpcId" | "securityGroupId" | "hostname"
  >,
  { api, showLogin: show, askPassword, now }: Pick<
    Doors,
    "api" | "showLogin" | "askPassword" | "now"
  >,
  rest: Pick<ConstructorParameters<typeof Registrar>[0], "state" | "remember">,
): Registrar {
  return new Registrar({
    ...{ api, join, vpcId, securityGroupId, hostname, now },
    ...rest,
    ...(show === undefined ? {} : { show }),
    ...(askPassword === undefined ? {} : { askPassword }),
  });
}
