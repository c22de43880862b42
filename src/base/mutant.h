/* Deliberate bugs, which the simulator must find: `make mutants` builds it once with each of
 * -DMUTANT=1 … MUTANT_COUNT and demands that a seed fails. In every other build MUTATED is the
 * constant 0, and nothing of them is left.
 *
 *    1  credentials are handed out a minute below min_remaining
 *    2  a lease that nobody holds any more isn't ended
 *    3  any answer of the issuer confirms a revocation
 *    4  a shared lease that is being revoked is still offered
 *    5  an issued lease isn't put into the ledger
 *    6  a lease leaves the ledger when its revocation begins
 *    7  a credential is handed out before its record is durable
 *    8  a revocation that failed is sent again as a renewal
 *    9  the end of a process doesn't end what is bound to it
 *   10  an issue is asked for again although its answer was lost
 *   11  a revocation that is confirmed is sent once more
 *   12  the issuer's name of a lease stands in an error's text
 *   13  a revocation's place in flight isn't given back
 *   14  an answer that wasn't delivered ends no grant
 *   15  each request for a shared credential issues one
 *   16  the limit of live leases isn't looked at
 *   17  now and then a record is chained to the one before the last
 *   18  rules that deny are passed over
 *   19  an issue isn't in the ledger before it is sent
 *   20  a page of something in between confirms a revocation (plugins/vault/op.c)
 *   21  an acquire that has waited for too long is forgotten
 *   22  a lease is believed to live a minute longer than its issuer says
 *   23  a credential is handed out without having been tried out
 *   24  what its issuer can't revoke ends as revoked
 *   25  a token of GitHub's isn't deleted (plugins/github/issue.c)
 *   26  of the role's other sessions nobody hears that they were denied (plugins/aws/revoke.c)
 *   27  a Secret that was made in vain isn't named (plugins/kubernetes/server.c)
 *   28  a revocation doesn't wait for its list (plugins/localca/revoke.c)
 *   29  any exit code of revoke_command confirms (plugins/exec/exec.c)
 *   30  who reads a shared credential after the first isn't remembered
 *   31  a drill leaves a shared credential to its other holders
 *   32  nobody asks whether a caller is blocked
 *   33  nobody asks whether what needs an approval has one
 *   34  who asks for an approval can give it
 *   35  another user of the same person can
 *   36  an approval is used twice
 *   37  an approval stands for any reason
 *   38  one approval is enough where two are asked for
 *   39  an approval has no end
 *   40  what is said to a request isn't in the ledger
 *   41  a denial changes nothing
 *   42  the end of a window ends nothing
 *   43  nobody looks whether a window is open
 *   44  a policy that is applied isn't judged on what lives
 *   45  a request outlives the rule that asks for it
 *   46  a clock that is set leaves the ends of windows where they were
 *
 * Plugins see no header of ours, so theirs is written out. */
#ifndef LEASED_BASE_MUTANT_H
#define LEASED_BASE_MUTANT_H

#define MUTANT_COUNT 46

#if defined(MUTANT)
#define MUTATED(number) (MUTANT == (number))
#else
#define MUTATED(number) 0
#endif

#endif
