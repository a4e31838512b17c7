import type { AlertListAnswer, AlertTestAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { alertListQuerySchema } from "../../protocol/entry-requests.ts";
import type { Handlers, HttpContext } from "../call.ts";
import { alertAnswer } from "../row-answers.ts";

export function alertRoutes({ store, testAlerts }: HttpContext): Pick<Handlers, "listAlerts" | "testAlerts"> {
  return {
    listAlerts: async ({ query }) => {
      const { limit } = check(alertListQuerySchema, query);
      const body: AlertListAnswer = {
        alerts: (await store.read((r) => r.alerts.newest(limit))).map(alertAnswer),
      };
      return { status: 200, body };
    },
    // No client's write: a backup and a fenced site have channels of their own to try.
    testAlerts: async () => {
      const body: AlertTestAnswer = { deliveries: await testAlerts() };
      return { status: 200, body };
    },
  };
}
