import { testSeeds } from "./seed-range.ts";

testSeeds(1_876, 2_500);
