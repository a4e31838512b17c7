import api from "undici/lib/api/index.js";
import Agent from "undici/lib/dispatcher/agent.js";
import Dispatcher from "undici/lib/dispatcher/dispatcher.js";
import Pool from "undici/lib/dispatcher/pool.js";
import buildConnector from "undici/lib/core/connect.js";
import errors from "undici/lib/core/errors.js";

/** The parts of undici that the program uses; the whole would load caches, mocks, proxies and a browser's fetch besides. */
Object.assign(Dispatcher.prototype, api);

export { Agent, buildConnector, Dispatcher, errors, Pool };
