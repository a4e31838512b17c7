import type { AlertListAnswer } from "../../protocol/answers.ts";
import { check } from "../../protocol/check.ts";
import { alertListQuerySchema } from "../../protocol/entry-requests.ts";
import type { Handlers, HttpContext } from "../call.ts";
import { alertAnswer } from "../row-answers.ts";

export function alertRoutes({ store }: HttpContext): Pick<Handlers, "listAlerts"> {
  return {
    listAlerts: async ({ query }) => {
      const { limit } = check(alertListQuerySchema, query);
      const body: AlertListAnswer = { alerts: (await store.alerts(limit)).map(alertAnswer) };
      return { status: 200, body };
    },
  };
}
