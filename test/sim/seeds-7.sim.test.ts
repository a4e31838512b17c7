import { testSeeds } from "./seed-range.ts";

testSeeds(3_751, 4_375);
