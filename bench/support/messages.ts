/** What the benchmark and the processes it starts say to each other. */

export type Request = { readonly id: number; readonly call: string; readonly argument: unknown };
export type Reply = { readonly id: number; readonly value?: unknown; readonly error?: string };
/** Everything up to `seq` is committed on the other side, since `atMs` of the machine's monotonic clock. */
export type Visible = { readonly seq: number; readonly atMs: number };
export type Message = { readonly reply: Reply } | { readonly visible: Visible } | { readonly ready: true };

type Answers = Readonly<Record<string, (argument: never) => unknown>>;

/** In a child: answers the parent's calls, until it is told to stop or the parent is gone. */
export function answerParent(answers: Answers, stop: () => Promise<void>): void {
  const end = () => void stop().finally(() => process.exit(0));
  process.on("message", ({ id, call, argument }: Request) => {
    if (call === "stop") return end();
    const answer = answers[call];
    void Promise.resolve()
      .then(() => answer?.(argument as never))
      .then((value) => tell({ reply: { id, value } }))
      .catch((error: unknown) => tell({ reply: { id, error: String(error) } }));
  });
  process.on("disconnect", end);
  tell({ ready: true });
}

/** In a child: reports a commit, once what waits for it has been answered. */
export function reportVisible(seq: number, atMs: number): void {
  setImmediate(() => tell({ visible: { seq, atMs } }));
}

function tell(message: Message): void {
  process.send?.(message);
}
