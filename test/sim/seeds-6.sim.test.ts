import { testSeeds } from "./seed-range.ts";

testSeeds(3_126, 3_750);
