// The thread that has a log's file: SQLite blocks while it writes, and no decision may wait for that.

import { parentPort, workerData } from "node:worker_threads";
import { StoreError } from "../../store/error.ts";
import { sqliteError } from "../../stores/sqlite/errors.ts";
import { type FileSettings, LogFile } from "./file.ts";
import type { Fault, FromThread, ToThread } from "./messages.ts";
import type { FileReader } from "./read.ts";

const settings = workerData as FileSettings;
const file = new LogFile(settings);

function answerTo({ asked, parameters }: ToThread): unknown {
  if (asked === "write") return file.write(JSON.parse(String(parameters[0])));
  if (asked === "close") return file.close();
  return file.read((reader) =>
    (reader[asked] as (...given: unknown[]) => unknown).apply(reader as FileReader, [...parameters]),
  );
}

function faultOf(error: unknown): Fault {
  const { code, message, transient } = StoreError.isInstance(error) ? error : sqliteError(error, settings.path);
  return { code, message, transient };
}

parentPort?.on("message", (message: ToThread) => {
  const { number } = message;
  let reply: FromThread;
  try {
    reply = { number, answer: answerTo(message) };
  } catch (error) {
    reply = { number, fault: faultOf(error) };
  }
  parentPort?.postMessage(reply);
});
