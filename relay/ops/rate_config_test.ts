import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { loadRateConfig } from "./rate_config.ts";

Deno.test("loadRateConfig reads limits and says what is wrong with a file", async () => {
  const file = await Deno.makeTempFile();
  try {
    const load = async (text: string) => {
      await Deno.writeTextFile(file, text);
      return await loadRateConfig(file);
    };
    const rate = "PerClientRateLimitBytesPerSec";
    const burst = "PerClientRateBurstBytes";
    deepEqual(await load(`{"${rate}": 1000, "${burst}": 100000}`), {
      bytesPerSecond: 1000,
      burst: 100_000,
    });
    deepEqual(await load(`{"${rate.toLowerCase()}": 1000}`), {
      bytesPerSecond: 1000,
      burst: 65_568,
    });
    equal(await load(`{"${burst}": 5}`), undefined);
    equal(await load(`{}`), undefined);
    const bad: [string, RegExp][] = [
      ["", /not JSON/],
      ["[]", /no JSON object/],
      ["null", /no JSON object/],
      [`{"${rate}": -1}`, /PerClientRateLimitBytesPerSec is not a whole number/],
      [`{"${rate}": "5"}`, /PerClientRateLimitBytesPerSec/],
      [`{"${rate}": 1, "${burst}": 1.5}`, /PerClientRateBurstBytes/],
    ];
    for (const [text, pattern] of bad) {
      await rejects(load(text), (error: Error & { exitCode: number }) => {
        match(error.message, pattern);
        match(error.message, new RegExp(`^Cannot use --rate-config ${file}: [^\\n]+$`));
        return error.exitCode === 1;
      });
    }
    await rejects(loadRateConfig("/nonexistent/rate.json"), /no such file/);
  } finally {
    await Deno.remove(file);
  }
});
