import { workerData } from "node:worker_threads";
import Sqlite from "better-sqlite3";

/** Copies a database's log back into it as far as readers allow, without stopping anybody, and ends. */
const database = new Sqlite(String(workerData), { fileMustExist: true });
database.pragma("wal_checkpoint(PASSIVE)");
database.close();
