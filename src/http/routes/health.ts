import type { HealthAnswer, ReadyAnswer } from "../../protocol/answers.ts";
import type { Role } from "../../core/push.ts";
import type { Handlers, HttpContext } from "../call.ts";
import { problemHead } from "../problem.ts";

export function healthRoutes(context: HttpContext): Pick<Handlers, "healthz" | "readyz"> {
  return {
    healthz: async () => {
      const { site, edition, version } = context;
      const role = await roleOf(context);
      const body: HealthAnswer = { status: "ok", site, role, edition: edition.name, version };
      return { status: 200, body };
    },
    readyz: async () => {
      const reasons = await context.readiness();
      const ready: ReadyAnswer = { status: "ready" };
      if (reasons.length === 0) return { status: 200, body: ready };
      const head = problemHead("not_ready");
      return { status: head.status, body: { ...head, detail: head.title, reasons } };
    },
  };
}

/** null while the database does not answer: the process lives all the same, and readyz says what is wrong. */
async function roleOf({ store }: HttpContext): Promise<Role | null> {
  try {
    return (await store.read((r) => r.site.record())).role;
  } catch {
    return null;
  }
}
