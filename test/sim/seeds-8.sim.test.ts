import { testSeeds } from "./seed-range.ts";

testSeeds(4_376, 5_000);
