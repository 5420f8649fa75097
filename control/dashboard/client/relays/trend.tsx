/** A relay's last hour as small curves. */
import type { JSX } from "preact";
import type { RelayLoad, RelayTrend } from "../../../api/types.ts";
import { msText } from "../network/paths.ts";

const WIDTH = 240, HEIGHT = 36;

/** Curves of what is known: how fast it answered, and, for the operator, what it carried. */
export function Trends(
  { points, load }: { points: RelayTrend["points"]; load: RelayLoad | undefined },
): JSX.Element {
  return (
    <>
      {load && (
        <Curve
          name="Clients"
          now={String(load.clients)}
          values={points.map(({ clients }) => clients)}
          text={String}
        />
      )}
      {load && (
        <Curve
          name="Traffic"
          now={load.bytes_per_second === undefined ? "" : rateText(load.bytes_per_second)}
          values={points.map(({ bytes_per_second }) => bytes_per_second)}
          text={rateText}
        />
      )}
      <Curve
        name="Answer"
        now=""
        values={points.map(({ latency_ms }) => latency_ms)}
        text={msText}
      />
    </>
  );
}

interface CurveProps {
  name: string;
  now: string;
  /** One for each look, oldest first; a gap where there was none. */
  values: readonly (number | undefined)[];
  text: (value: number) => string;
}

function Curve({ name, now, values, text }: CurveProps): JSX.Element | null {
  const known = values.filter((value) => value !== undefined);
  if (known.length < 2) {
    return now === "" ? null : (
      <div>
        <dt>{name}</dt>
        <dd>{now}</dd>
      </div>
    );
  }
  const most = Math.max(...known), least = Math.min(...known);
  const step = WIDTH / (values.length - 1);
  let path = "", gap = true;
  values.forEach((value, i) => {
    if (value !== undefined) {
      const y = HEIGHT - 2 - (HEIGHT - 4) * value / (most || 1);
      path += `${gap ? "M" : "L"}${(i * step).toFixed(1)} ${y.toFixed(1)}`;
    }
    gap = value === undefined;
  });
  const range = `${text(least)} to ${text(most)}`;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {now === "" ? range : (
          <>
            {now} <small>{range}</small>
          </>
        )}
        <svg
          class="curve"
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`${name} in the last ${values.length} looks: ${range}`}
        >
          <path d={path} />
        </svg>
      </dd>
    </div>
  );
}

/** Bytes a second, for people: as bits, which lines are sold in. */
export function rateText(bytes: number): string {
  const bits = bytes * 8;
  const [value, unit] = bits >= 1e9
    ? [bits / 1e9, "Gbit/s"]
    : bits >= 1e6
    ? [bits / 1e6, "Mbit/s"]
    : [bits / 1e3, "kbit/s"];
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ${unit}`;
}
