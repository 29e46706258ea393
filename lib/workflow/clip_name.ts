/** What a clip may be called. */

/** Lower case, so that no two look the same. */
export const CLIP_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
