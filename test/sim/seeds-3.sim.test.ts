import { testSeeds } from "./seed-range.ts";

testSeeds(1_251, 1_875);
