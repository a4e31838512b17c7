import type { EditionReply, EditionRoute } from "../../core/edition.ts";
import type { Answer, Call } from "../call.ts";
import { isErrorCode, problemHead } from "../problem.ts";
import type { RouteSpec } from "../route-table.ts";

/** A route of the edition as a line of the route table: never a client's write, and without query. */
export function specOfEditionRoute({ method, path, caller, bodyBytesMax }: EditionRoute): RouteSpec {
  return { method, path, caller, bodyBytesMax, isClientWrite: false, takesQuery: false };
}

export function editionHandler(route: EditionRoute): (call: Call) => Promise<Answer> {
  return async ({ principal, body, address }) => {
    const peer = principal.kind === "peer" ? principal.site : null;
    return withProblem(await route.handle({ peer, body, address }));
  };
}

/** A refusal of the edition says of itself what goes with its code; its own members stay, but for the status. */
function withProblem({ status, body }: EditionReply): Answer {
  if (status < 400) return { status, body };
  const code = "code" in body && isErrorCode(body.code) ? body.code : "internal";
  const head = problemHead(code);
  return { status, body: { ...head, detail: head.title, ...body, code, status } };
}
