import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Organization, Vpc } from "../../api/types.ts";
import { ask } from "./dialog.tsx";
import { call } from "./session.ts";
import { load, me, organizations, vpcId, vpcs } from "./state.ts";

/** A VPC's name, or what stands for it, with its range. */
export function vpcName({ id, description, ipv4_cidr }: Vpc): string {
  return `${description || id.slice(0, 8)} (${ipv4_cidr})`;
}

/** The organizations of the user, and their VPCs. */
export function Vpcs(): JSX.Element {
  return (
    <>
      <p>
        An organization is the people who share VPCs. A VPC is the hosts that reach each other:
        hosts of two VPCs never meet.
      </p>
      <p>
        <button type="button" class="first" onClick={makeOrganization}>New organization</button>
      </p>
      <ul class="cards">
        {organizations.value.map((organization) => (
          <Card key={organization.id} organization={organization} />
        ))}
      </ul>
    </>
  );
}

function Card({ organization }: { organization: Organization }): JSX.Element {
  const { id, name, description } = organization;
  const own = vpcs.value.filter(({ organization_id }) => organization_id === id);
  return (
    <li class="card" aria-labelledby={`organization-${id}`}>
      <h2 id={`organization-${id}`}>{name}</h2>
      {description !== "" && description !== name && <p>{description}</p>}
      <ul class="ways">
        {own.map((vpc) => <Entry key={vpc.id} vpc={vpc} />)}
        {own.length === 0 && <li>No VPC yet</li>}
      </ul>
      <div class="actions">
        <button
          type="button"
          class="first"
          aria-label={`New VPC in ${name}`}
          onClick={() => makeVpc(organization)}
        >
          New VPC
        </button>
        {id !== me.value?.id && (
          <button
            type="button"
            class="danger"
            aria-label={`Delete ${name}`}
            onClick={() => removeOrganization(organization)}
          >
            Delete
          </button>
        )}
      </div>
    </li>
  );
}

function Entry({ vpc }: { vpc: Vpc }): JSX.Element {
  const { id, description, ipv4_cidr, ipv6_cidr, private_cidr } = vpc;
  const name = description || id.slice(0, 8);
  return (
    <li>
      <strong>{name}</strong>
      <span>{id === vpcId.value ? "shown now" : ""}</span>
      <small>{`${ipv4_cidr}, ${ipv6_cidr}${private_cidr ? ", of its own" : ""}`}</small>
      <div class="actions">
        {id !== vpcId.value && (
          <button
            type="button"
            aria-label={`Show ${name}`}
            onClick={() => vpcId.value = id}
          >
            Show
          </button>
        )}
        <button type="button" aria-label={`Rename ${name}`} onClick={() => rename(vpc)}>
          Rename
        </button>
        {id !== vpc.organization_id && (
          <button
            type="button"
            class="danger"
            aria-label={`Delete the VPC ${name}`}
            onClick={() => removeVpc(vpc)}
          >
            Delete
          </button>
        )}
      </div>
    </li>
  );
}

function makeOrganization(): void {
  ask({
    title: "New organization",
    content: (
      <>
        <label>
          Name
          <input name="name" required maxLength={255} autoFocus />
        </label>
        <label>
          Description
          <input name="description" maxLength={255} />
        </label>
        <p>You own it. Invite others on the page People once one of its VPCs is shown.</p>
      </>
    ),
    verb: "Create",
    act: async (form) => {
      const name = String(form.get("name"));
      const description = String(form.get("description"));
      await call<Organization>("POST", "/api/organizations", { name, description });
      await load();
      return `${name} is made; give it a VPC`;
    },
  });
}

function makeVpc({ id, name }: Organization): void {
  const own = signal(false);
  ask({
    title: `New VPC in ${name}`,
    content: <VpcFields own={own} />,
    verb: "Create",
    act: async (form) => {
      const text = (field: string) => String(form.get(field) ?? "").trim();
      const vpc = await call<Vpc>("POST", "/api/vpcs", {
        organization_id: id,
        description: text("description"),
        private_cidr: own.value,
        ...(own.value ? { ipv4_cidr: text("ipv4"), ipv6_cidr: text("ipv6") } : {}),
      });
      await load();
      vpcId.value = vpc.id;
      return "The VPC is made, and shown now";
    },
  });
}

function VpcFields({ own }: { own: { value: boolean } }): JSX.Element {
  return (
    <>
      <label>
        What it is for
        <input name="description" required maxLength={255} autoFocus />
      </label>
      <label class="tick">
        <input
          type="checkbox"
          checked={own.value}
          onChange={(e) => own.value = e.currentTarget.checked}
        />
        With address ranges of its own
      </label>
      {own.value && (
        <>
          <label>
            IPv4 range
            <input name="ipv4" required maxLength={64} placeholder="10.64.0.0/16" />
          </label>
          <label>
            IPv6 range
            <input name="ipv6" required maxLength={64} placeholder="fd64::/64" />
          </label>
        </>
      )}
    </>
  );
}

function rename(vpc: Vpc): void {
  ask({
    title: "Rename the VPC",
    content: (
      <label>
        What it is for
        <input
          name="description"
          required
          maxLength={255}
          autoFocus
          defaultValue={vpc.description}
        />
      </label>
    ),
    verb: "Rename",
    act: async (form) => {
      await call("PATCH", `/api/vpcs/${vpc.id}`, { description: String(form.get("description")) });
      await load();
    },
  });
}

function removeVpc(vpc: Vpc): void {
  const name = vpc.description || vpc.id.slice(0, 8);
  ask({
    title: `Delete the VPC ${name}?`,
    content: <p>Its security groups and registration keys go with it. Devices have to go first.</p>,
    verb: "Delete",
    danger: true,
    act: async () => {
      await call("DELETE", `/api/vpcs/${vpc.id}`);
      await load();
      return `${name} is deleted`;
    },
  });
}

function removeOrganization({ id, name }: Organization): void {
  ask({
    title: `Delete ${name}?`,
    content: (
      <p>Everybody in it loses it, and its VPCs go with it. Their devices have to go first.</p>
    ),
    verb: "Delete",
    danger: true,
    act: async () => {
      await call("DELETE", `/api/organizations/${id}`);
      await load();
      return `${name} is deleted`;
    },
  });
}
