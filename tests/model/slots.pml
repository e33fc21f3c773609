/* The slot protocol of the verbs exchange, for Spin. tests/model/check runs it.
 *
 * Every worker publishes GENERATIONS models of BUCKETS buckets to its live neighbours, who own two slots per edge and bucket,
 * chosen by the parity of the generation. A sender posts into a slot only when the receiver has released the generation that it
 * sent into this parity before (credit), as the exchange does. The network keeps order within a queue pair and none between
 * queue pairs: buckets travel on the data queue pair (the payload, then the immediate that announces it). Credits only grow and are
 * only waited for, so one that is slow on its way is the same as a sender that is slow to look: they need no queue.
 *
 *   -DWORKERS=n -DBUCKETS=n -DGENERATIONS=n
 *   -DLINE            workers are connected in a line; without it each to each
 *   -DALTERNATING     each edge is live in every second generation only
 *   -DOPEN=2          a worker opens the next generation before it releases the last one (order `paper`)
 *   -DFAILURE         worker 0 may die at any moment; its neighbours drop the edge
 *   -DMUTANT=1        the sender does not wait for the credit
 *   -DMUTANT=2        the receiver releases before it has read
 *   -DMUTANT=3        the immediate overtakes its payload
 *   -DMUTANT=4        a neighbour's death is never noticed
 *   -DMUTANT=5        the sender writes into the other parity
 * The mutants show that the checks can fail: Spin has to find an error in each.
 *
 * Checked: no slot is written while it is read; what is read is whole and of the generation that was awaited; no immediate finds
 * the receive queue empty; every worker that lives comes to its end (no deadlock, no lost generation).
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef BUCKETS
#define BUCKETS 2
#endif
#ifndef GENERATIONS
#define GENERATIONS 4
#endif
#ifndef MUTANT
#define MUTANT 0
#endif

#define EDGE(from, to) ((from) * WORKERS + (to))
#define PARITY(edge, generation) ((edge) * 2 + ((generation) & 1))
#define SLOT(edge, generation, bucket) (PARITY(edge, generation) * BUCKETS + (bucket))

#ifdef LINE
#define CONNECTED(a, b) ((a) == (b) + 1 || (b) == (a) + 1)
#else
#define CONNECTED(a, b) ((a) != (b))
#endif
#ifdef ALTERNATING
#define LIVE(a, b, g) (CONNECTED(a, b) && ((a) + (b) + (g)) % 2 == 0)
#else
#define LIVE(a, b, g) CONNECTED(a, b)
#endif

/* Generations are counted from 1; 0 is a slot that was never written. Each array names its only writer. */
byte slot_generation[WORKERS * WORKERS * 2 * BUCKETS]; /* the network, for the sender */
byte announced[WORKERS * WORKERS * 2];                 /* the network: buckets announced of ... */
byte announced_generation[WORKERS * WORKERS * 2];      /* ... this generation */
byte credit[WORKERS * WORKERS];                        /* the receiver: it has released all below */
bool reading[WORKERS * WORKERS * 2];                   /* the receiver */
bool dead[WORKERS];                                    /* the worker itself, with its last act */
bool cut[WORKERS * WORKERS];                           /* the network: of a dead worker's posts only a beginning arrives */
byte finished;

/* The capacity of `data` is that of the receive queue, one receive for each bucket of both parities. */
#define PREPOSTED (2 * BUCKETS)
chan data[WORKERS * WORKERS] = [PREPOSTED] of { byte, byte };

inline land(edge, g, b) {
#if MUTANT == 5
  assert(!reading[PARITY(edge, g + 1)]);
  slot_generation[SLOT(edge, g + 1, b)] = g
#else
  assert(!reading[PARITY(edge, g)]);
  slot_generation[SLOT(edge, g, b)] = g
#endif
}

inline announce(edge, g) {
  if
  :: announced_generation[PARITY(edge, g)] == g -> announced[PARITY(edge, g)]++
  :: else ->
     announced_generation[PARITY(edge, g)] = g;
     announced[PARITY(edge, g)] = 1
  fi
}

/* Delivers in order within a queue pair. A dead worker's memory takes nothing. */
proctype Network(byte from; byte to) {
  byte g, b;
end:
  do
  :: atomic {
       nempty(data[EDGE(from, to)]) && (dead[to] || dead[from]) ->
       data[EDGE(from, to)] ? g, b;
       cut[EDGE(from, to)] = true; g = 0; b = 0
     }
  :: nempty(data[EDGE(from, to)]) && !dead[to] && !cut[EDGE(from, to)] ->
#if MUTANT == 3
     atomic { data[EDGE(from, to)] ? g, b; announce(EDGE(from, to), g) }
     atomic { land(EDGE(from, to), g, b); g = 0; b = 0 }
#else
     atomic { data[EDGE(from, to)] ? g, b; land(EDGE(from, to), g, b); announce(EDGE(from, to), g); g = 0; b = 0 }
#endif
  od
}

#if MUTANT == 4
#define GONE(worker) false
#else
#define GONE(worker) dead[worker]
#endif

/* Between any two acts. Of a chain of requests the network cuts off the rest. */
#ifdef FAILURE
#define MAY_DIE if :: me == 0 -> atomic { dead[0] = true; goto over } :: true fi
#else
#define MAY_DIE skip
#endif

#define NEXT_NEIGHBOUR n == WORKERS -> n = 0; break :: n < WORKERS && !LIVE(me, n, g)

inline publish(g) {
  do
  :: NEXT_NEIGHBOUR -> n++
  :: n < WORKERS && LIVE(me, n, g) ->
     MAY_DIE;
#if MUTANT != 1
     (GONE(n) || in_parity[PARITY(n, g)] == 0 || credit[EDGE(me, n)] > in_parity[PARITY(n, g)]);
#endif
     atomic { /* one chain of work requests, one doorbell */
       b = 0;
       do
       :: b == BUCKETS -> break
       :: b < BUCKETS ->
          assert(GONE(n) || nfull(data[EDGE(me, n)]));
          if
          :: GONE(n) -> skip
          :: else -> data[EDGE(me, n)] ! g, b
          fi;
          b++
       od;
       in_parity[PARITY(n, g)] = g;
       b = 0;
       n++
     }
  od
}

#define ARRIVED(edge, g) (announced_generation[PARITY(edge, g)] == g && announced[PARITY(edge, g)] == BUCKETS)

inline combine(g) {
  do
  :: NEXT_NEIGHBOUR -> n++
  :: n < WORKERS && LIVE(me, n, g) ->
     MAY_DIE;
     (ARRIVED(EDGE(n, me), g) || GONE(n));
#if MUTANT == 2
     credit[EDGE(n, me)] = g + 1;
#endif
     if
     :: atomic { ARRIVED(EDGE(n, me), g) -> reading[PARITY(EDGE(n, me), g)] = true }
        MAY_DIE;
        atomic {
          b = 0;
          do
          :: b == BUCKETS -> break
          :: b < BUCKETS -> assert(slot_generation[SLOT(EDGE(n, me), g, b)] == g); b++
          od;
          b = 0;
          reading[PARITY(EDGE(n, me), g)] = false;
          n++
        }
     :: atomic { !ARRIVED(EDGE(n, me), g) -> n++ } /* gone: its weight returns to self */
     fi
  od
}

inline release(g) {
#if MUTANT == 2
  skip
#else
  do
  :: NEXT_NEIGHBOUR -> n++
  :: n < WORKERS && LIVE(me, n, g) -> MAY_DIE; atomic { credit[EDGE(n, me)] = g + 1; n++ }
  od
#endif
}

proctype Worker(byte me) {
  byte g = 1, n, b;
  byte in_parity[WORKERS * 2]; /* the generation last sent to a neighbour into a parity; 0: none */
  do
  :: g > GENERATIONS -> break
  :: g <= GENERATIONS ->
     publish(g);
     combine(g);
#if OPEN == 2
     g++;
     publish(g);
     combine(g);
     release(g - 1);
#endif
     release(g);
     g++
  od;
over:
  finished++
}

init {
  byte i, j;
  atomic {
    for (i : 0 .. WORKERS - 1) {
      for (j : 0 .. WORKERS - 1) {
        if
        :: CONNECTED(i, j) -> run Network(i, j)
        :: else -> skip
        fi
      }
    }
    for (i : 0 .. WORKERS - 1) {
      run Worker(i)
    }
  }
  /* A worker that waits for ever makes this an invalid end state. */
  (finished == WORKERS)
}
