/**
 * The star of imports (docs/ARCHITECTURE.md). Each part of src/ names what it may see; everything else is forbidden. Tests beside
 * the source may see what they test with, so the star holds for what runs in production.
 */

const test = "\\.test\\.ts$";

/** A rule that lets the files under src/<part> see only what `may` names. */
function sees(part, may, comment) {
  return {
    name: `${part}-sees`,
    severity: "error",
    comment,
    from: { path: `^src/${part}/`, pathNot: test },
    to: { path: "^src/", pathNot: [`^src/${part}/`, ...may.map((other) => `^src/${other}/`)] },
  };
}

/** A rule that lets only `owners` load the packages or modules that `path` names. */
function only(name, owners, path, comment) {
  return {
    name,
    severity: "error",
    comment,
    from: { path: "^src/", pathNot: [test, ...owners] },
    to: { path },
  };
}

export default {
  forbidden: [
    sees("core", [], "The core holds pure decisions; what it saw, the simulator would have to imitate."),
    {
      name: "core-imports-nothing",
      severity: "error",
      comment: "Not even node: or a package: clock, random, hash and disk reach the core through its ports.",
      from: { path: "^src/core/", pathNot: test },
      to: { pathNot: "^src/core/" },
    },
    sees(
      "protocol",
      ["core"],
      "Schemas are shared with the command line and the page, so they drag nothing along.",
    ),
    sees("crypto", ["core"], "Sealing must be readable, and testable, without a site around it."),
    sees("store", ["core"], "A store that knew its callers could not be exchanged for another database."),
    sees("ops", ["core"], "Configuration, logs and alert channels serve every part and depend on none."),
    sees(
      "replication",
      ["core", "protocol", "crypto"],
      "Replication sees rows and ports. The store and HTTP are given to it, so that the simulator can give it others.",
    ),
    sees(
      "http",
      ["core", "protocol", "crypto"],
      "Routes know the store only as a port, and replication only as routes of the edition.",
    ),
    sees(
      "editions",
      ["core", "protocol", "crypto", "replication"],
      "The seam is as thin as its port: what an edition needs of a site, the composition root hands to it.",
    ),
    sees(
      "app",
      ["core", "protocol", "crypto", "store", "replication", "editions", "http", "ops"],
      "The composition root wires parts together; nothing of it may need a terminal or a page.",
    ),
    sees(
      "cli",
      ["app", "protocol", "crypto", "core", "ops"],
      "The command reaches a site through the composition root or over HTTP, never around them.",
    ),
    sees("web", ["protocol"], "The page runs in a browser: it knows the wire and nothing of the server."),
    {
      name: "replication-only-through-commercial",
      severity: "error",
      comment: "One importer is what lets the community edition load no replication code.",
      from: { path: "^src/", pathNot: [test, "^src/replication/", "^src/editions/commercial\\.ts$"] },
      to: { path: "^src/replication/" },
    },
    {
      name: "commercial-only-on-demand",
      severity: "error",
      comment:
        "A static import would load replication in every edition; `await import` loads it where it is configured.",
      from: { path: "^src/", pathNot: [test, "^src/editions/commercial\\.ts$"] },
      to: {
        path: "^src/editions/commercial\\.ts$",
        dynamic: false,
        dependencyTypesNot: ["type-only"],
      },
    },
    only(
      "sql-only-in-the-store",
      ["^src/store/"],
      "(^|/)node_modules/(better-sqlite3|pg|kysely)/|^(node:)?sqlite$",
      "SQL elsewhere would be a second writer with rules of its own.",
    ),
    only(
      "fastify-only-in-http",
      ["^src/http/", "^src/app/"],
      "(^|/)node_modules/(@fastify/|fastify)",
      "Handlers of editions are plain functions: they run in the simulator without a server.",
    ),
    only(
      "terminal-only-in-the-command",
      ["^src/cli/"],
      "(^|/)node_modules/(commander|cli-table3)/",
      "A server has no terminal.",
    ),
    {
      name: "no-circles",
      severity: "error",
      comment: "Modules in a circle have no order in which they can be understood or loaded.",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-tests-in-production",
      severity: "error",
      comment: "What only tests need is not installed where Dormouse runs.",
      from: { path: "^src/", pathNot: test },
      to: { path: [test, "^test/", "^bench/"], dependencyTypesNot: [] },
    },
    {
      name: "no-dev-packages-in-production",
      severity: "error",
      comment: "`npm ci --omit=dev` must leave a program that runs.",
      from: { path: "^src/", pathNot: test },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "no-unknown-imports",
      severity: "error",
      comment: "What resolves here by accident does not resolve on another machine.",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(data|dist|coverage)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types"] },
  },
};
