import { testSeeds } from "./seed-range.ts";

testSeeds(2_501, 3_125);
