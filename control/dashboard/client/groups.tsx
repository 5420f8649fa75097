import { type Signal, signal } from "@preact/signals";
import type { JSX } from "preact";
import type { SecurityGroup, SecurityRule } from "../../api/types.ts";
import { ask } from "./dialog.tsx";
import { portsOf, PROTOCOLS, readPorts, ruleText } from "./rules.ts";
import { call, Refused } from "./session.ts";
import { devices, groups, vpcId } from "./state.ts";

/** Security groups of the VPC. */
export function Groups(): JSX.Element {
  const shown = [...groups.value.values()].filter((group) => group.vpc_id === vpcId.value)
    .sort((a, b) => a.description.localeCompare(b.description) || a.id.localeCompare(b.id));
  return (
    <>
      <p>A host lets through what the rules of its group allow. A list without rules allows all.</p>
      <p>
        <button type="button" class="first" onClick={() => edit()}>New group</button>
      </p>
      <ul class="cards">{shown.map((group) => <Card key={group.id} group={group} />)}</ul>
    </>
  );
}

function Card({ group }: { group: SecurityGroup }): JSX.Element {
  const { id, description, inbound_rules, outbound_rules } = group;
  const name = description || id.slice(0, 8);
  const users = [...devices.value.values()]
    .filter(({ security_group_id }) => security_group_id === id).length;
  return (
    <li class="card" aria-labelledby={`group-${id}`}>
      <h2 id={`group-${id}`}>{name}</h2>
      <p>{`${users} ${users === 1 ? "device" : "devices"}`}</p>
      <dl>
        <Rules name="In" rules={inbound_rules} word="from" />
        <Rules name="Out" rules={outbound_rules} word="to" />
      </dl>
      <div class="actions">
        <button type="button" aria-label={`Edit ${name}`} onClick={() => edit(group)}>Edit</button>
        {id !== group.vpc_id && (
          <button
            type="button"
            class="danger"
            aria-label={`Delete ${name}`}
            onClick={() => remove(id, name)}
          >
            Delete
          </button>
        )}
      </div>
    </li>
  );
}

function Rules(
  { name, rules = [], word }: {
    name: string;
    rules: SecurityRule[] | undefined;
    word: "from" | "to";
  },
): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      {rules.length === 0 && <dd>Everything</dd>}
      {rules.map((rule, i) => <dd key={i}>{ruleText(rule, word)}</dd>)}
    </div>
  );
}

interface Draft {
  key: number;
  rule: SecurityRule;
}

function edit(group?: SecurityGroup): void {
  const drafts = (rules: SecurityRule[] = []) =>
    signal<Draft[]>(rules.map((rule, key) => ({ key, rule })));
  const inbound = drafts(group?.inbound_rules), outbound = drafts(group?.outbound_rules);
  ask({
    title: group === undefined ? "New security group" : "Edit security group",
    content: (
      <>
        <label>
          What it is for
          <input
            name="description"
            required
            maxLength={255}
            autoFocus
            defaultValue={group?.description ?? ""}
          />
        </label>
        <RuleFields title="In" name="in" drafts={inbound} />
        <RuleFields title="Out" name="out" drafts={outbound} />
      </>
    ),
    verb: "Save",
    act: async (form) => {
      const body = {
        description: String(form.get("description")),
        inbound_rules: rulesOf(form, "in"),
        outbound_rules: rulesOf(form, "out"),
      };
      if (group === undefined) {
        await call("POST", "/api/security-groups", { vpc_id: vpcId.value, ...body });
      } else await call("PATCH", `/api/security-groups/${group.id}`, body);
      return "The group is saved";
    },
  });
}

function RuleFields(
  { title, name, drafts }: { title: string; name: string; drafts: Signal<Draft[]> },
): JSX.Element {
  const add = () => {
    const key = 1 + Math.max(-1, ...drafts.value.map((draft) => draft.key));
    const rule = { ip_protocol: "tcp", from_port: 0, to_port: 0 };
    drafts.value = [...drafts.value, { key, rule }];
  };
  const drop = (key: number) => drafts.value = drafts.value.filter((draft) => draft.key !== key);
  return (
    <fieldset>
      <legend>{title}</legend>
      {drafts.value.length === 0 && <p>Everything</p>}
      {drafts.value.map(({ key, rule }, i) => (
        <div class="rule" key={key}>
          <select name={`${name}_protocol`} aria-label={`${title} ${i + 1}: protocol`}>
            {PROTOCOLS.map(([id, text]) => (
              <option key={id} value={id} selected={id === rule.ip_protocol}>{text}</option>
            ))}
          </select>
          <input
            name={`${name}_ports`}
            aria-label={`${title} ${i + 1}: ports, empty for all`}
            placeholder="all ports"
            maxLength={11}
            defaultValue={portsOf(rule)}
          />
          <input
            name={`${name}_ranges`}
            aria-label={`${title} ${i + 1}: addresses with commas between, empty for all`}
            placeholder="all addresses"
            defaultValue={(rule.ip_ranges ?? []).join(", ")}
          />
          <button type="button" aria-label={`Remove ${title} ${i + 1}`} onClick={() => drop(key)}>
            ×
          </button>
        </div>
      ))}
      <button type="button" onClick={add}>{`Add a rule: ${title.toLowerCase()}`}</button>
    </fieldset>
  );
}

function rulesOf(form: FormData, name: string): SecurityRule[] {
  const texts = (field: string) => form.getAll(`${name}_${field}`).map(String);
  const ports = texts("ports"), ranges = texts("ranges");
  return texts("protocol").map((ip_protocol, i) => {
    const range = readPorts(ports[i]!);
    if (range === undefined) {
      throw new Refused(0, `"${ports[i]}" is no port: write one as 22, or first and last as 80-90`);
    }
    const ip_ranges = ranges[i]!.split(",").map((text) => text.trim()).filter((text) =>
      text !== ""
    );
    return { ip_protocol, ...range, ...(ip_ranges.length === 0 ? {} : { ip_ranges }) };
  });
}

function remove(id: string, name: string): void {
  ask({
    title: `Delete ${name}?`,
    content: <p>A group that a device or a registration key has cannot be deleted.</p>,
    verb: "Delete",
    danger: true,
    act: async () => {
      await call("DELETE", `/api/security-groups/${id}`);
      return `${name} is deleted`;
    },
  });
}
