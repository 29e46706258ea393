/** Every kind of job there is. A feature adds its own here: one line. */

import type { AnyKind, HouseCron } from "./kind.ts";
import { callback } from "./callback.ts";
import { postCall } from "./post_call.ts";
import { endpointDisabled } from "./endpoint_disabled.ts";
import { purge } from "./purge.ts";
import { retention } from "./retention.ts";

export const kinds: Readonly<Record<string, AnyKind>> = {
  post_call: postCall,
  callback,
  endpoint_disabled: endpointDisabled,
  purge,
  retention,
};

export const houseCron: Readonly<Record<string, HouseCron>> = {};
