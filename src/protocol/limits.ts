/** What the HTTP API takes at most. Lengths of texts are in UTF-16 code units; what counts in bytes says so. */

/** The body of a call that carries one entry: its 256 KiB, of which JSON may spell every byte in six. */
export const requestBytesMax = 2 * 1024 * 1024;
export const importBytesMax = 16 * 1024 * 1024;
/** Bounds the memory that one import takes; 16 MiB of ordinary entries are fewer. */
export const importEntriesMax = 100_000;

export const vaultNameLengthMax = 200;
export const accessNameLengthMax = 200;
export const loginLengthMax = 64;
export const passphraseLengthMax = 256;
export const titleLengthMax = 500;
export const urlLengthMax = 2_048;
export const urlsMax = 100;
export const tagLengthMax = 100;
export const tagsMax = 100;
export const labelLengthMax = 200;
export const valueLengthMax = 128 * 1024;
export const fieldsMax = 200;
export const notesLengthMax = 256 * 1024;

export const searchLengthMax = 1_000;

/** A login and a passphrase, of which JSON may spell every character in six. */
export const loginBytesMax = 8 * 1024;

export const pageLimitMax = 500;
export const pageLimitDefault = 100;

/** The longest that `Prefer: wait` may ask for. */
export const waitSecondsMax = 60;
