// What each planned fault does to the world, and how it ends.

import type { Instance, Surroundings } from "./instance.ts";
import type { Fault } from "./schedule.ts";

/** Lets a fault begin. Returns what ends it, if it lasts. */
export function begin(fault: Fault, instances: readonly Instance[], around: Surroundings): (() => void) | null {
  const { network, store } = around;
  const instance = "instance" in fault ? instances[fault.instance] : undefined;
  switch (fault.type) {
    case "network": {
      const isOf = (name: string) => fault.instances.some((each) => name.startsWith(`p${each}.`));
      const nodes = store.nodesOf(fault).map(({ machine }) => machine);
      const others = store.nodes.map(({ machine }) => machine).filter((machine) => !nodes.includes(machine));
      return network.spoil((from, to) => isOf(from.name) && !others.includes(to), fault.rules);
    }
    case "restart":
      for (const node of store.nodesOf(fault)) node.end();
      return () => {
        for (const node of store.nodesOf(fault)) store.restart(node, fault.agoMs, fault.successor ?? "itself");
      };
    case "refuse":
      for (const node of store.nodesOf(fault)) node.refusal = fault.refusal;
      return () => {
        for (const node of store.nodesOf(fault)) node.refusal = null;
      };
    case "damage": {
      const keys = [...store.states()].filter(([, { kind }]) => !NOT_BUCKETS.has(kind)).map(([key]) => key);
      const key = keys.sort()[fault.nth % Math.max(1, keys.length)];
      if (key !== undefined) store.of(key).damage(key);
      return null;
    }
    case "server-clock":
      for (const { machine } of store.nodesOf(fault)) machine.jump(fault.jumpMs);
      return null;
    case "server-pause":
      for (const { machine } of store.nodesOf(fault)) machine.pause();
      return () => {
        for (const { machine } of store.nodesOf(fault)) machine.goOn();
      };
    case "move":
      return store.move(fault);
    case "clock":
      instance?.jump(fault.jumpMs);
      return null;
    case "pause": {
      const machine = instance?.machine;
      machine?.pause();
      return () => machine?.goOn();
    }
    case "kill":
      instance?.kill(fault.losesWrites);
      startAgain(instance, fault.againAfterMs, around);
      return null;
    case "close":
      close(fault, instance, around);
      return null;
    case "reload":
      onMachine(instance, around, () => {
        const policy = around.schedule.policies[fault.policy];
        if (instance?.program == null || policy === undefined) return;
        instance.program.reload(policy);
        instance.policy = fault.policy;
      });
      return null;
    case "full-disk":
      if (instance?.journal == null) return null;
      instance.journal.isFull = true;
      return () => {
        if (instance.journal !== null) instance.journal.isFull = false;
      };
  }
}

const NOT_BUCKETS: ReadonlySet<string> = new Set(["mark", "receipts"]);

function onMachine(instance: Instance | undefined, { world }: Surroundings, run: () => void): void {
  if (instance?.machine != null) world.after(0, instance.machine, "message", run);
}

function startAgain(instance: Instance | undefined, afterMs: number | null, { world }: Surroundings): void {
  if (afterMs !== null) world.after(afterMs, null, "turn", () => instance?.start());
}

/** Closes a limiter; its process ends when that is done. */
function close(fault: Extract<Fault, { type: "close" }>, instance: Instance | undefined, around: Surroundings): void {
  const machine = instance?.machine;
  onMachine(instance, around, async () => {
    if (instance === undefined) return;
    instance.isClosing = true;
    await instance.program?.close(fault.withinMs);
    around.world.after(0, null, "turn", () => {
      if (instance.machine !== machine) return;
      around.log.add({ atMs: around.world.nowMs, type: "closed", on: instance.name });
      instance.kill(0);
      startAgain(instance, fault.againAfterMs, around);
    });
  });
}
