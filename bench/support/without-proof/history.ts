export * from "../../../src/store/sqlite/history.ts";

export function recordPoint(): void {}
