/** A deploy that does nothing: what it would ask is said in place of being sent. */

import type { MachinesApi } from "./machines_api.ts";
import type { Operators } from "./operators.ts";

/** `api` is asked what there is, and nothing else. */
export function dryApi(
  api: Pick<MachinesApi, "list">,
  { root, say }: { readonly root: string; readonly say: (line: string) => void },
): MachinesApi {
  const call = (method: string, path: string, body?: unknown): void =>
    say(`${method} ${root}${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`);
  const act = (id: string, action: string, body?: unknown): Promise<void> =>
    Promise.resolve(call("POST", `/${id}/${action}`, body));
  return {
    list() {
      call("GET", "");
      return api.list();
    },
    get(id) {
      call("GET", `/${id}`);
      const config = { image: "" };
      const machine = { id, state: "started", region: "", instanceId: "", privateIp: "" };
      return Promise.resolve({ ...machine, config, checks: [] }); // as when all of them pass
    },
    create(machine) {
      call("POST", "", { ...machine, skip_service_registration: true });
      const id = `NEW-FOR-${machine.config.metadata?.ringmaster_replaces ?? ""}`;
      const made = { id, state: "created", instanceId: "INSTANCE", privateIp: id, checks: [] };
      return Promise.resolve({ ...machine, ...made });
    },
    wait({ id, instanceId }, state, seconds) {
      call("GET", `/${id}/wait?instance_id=${instanceId}&state=${state}&timeout=${seconds}`);
      return Promise.resolve(true);
    },
    cordon: (id) => act(id, "cordon"),
    uncordon: (id) => act(id, "uncordon"),
    stop: (id, seconds) => act(id, "stop", { signal: "SIGTERM", timeout: `${seconds}s` }),
    destroy: (id) => Promise.resolve(call("DELETE", `/${id}`)),
  };
}

/** Every machine that is asked for is there, and none has a call. */
export function dryOperators(say: (line: string) => void): Operators {
  return {
    missing([url = ""], ids) {
      say(`GET ${url}/cluster, until ${ids.join(", ")} are active`);
      return Promise.resolve([]);
    },
    busy([url = ""], ids) {
      say(`GET ${url}/cluster, until ${ids.join(", ")} hold no calls`);
      return Promise.resolve([]);
    },
    drain([url = ""], nodeId, order) {
      say(`POST ${url}/nodes/${nodeId}/drain ${JSON.stringify(order)}`);
      return Promise.resolve(true);
    },
  };
}
