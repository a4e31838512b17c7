import { testSeeds } from "./seed-range.ts";

testSeeds(626, 1_250);
