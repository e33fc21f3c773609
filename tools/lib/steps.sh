# Sourced by tools/test: runs steps, counts their tests, prints the table.
#   step NAME COMMAND...       one test: passes when COMMAND does
#   ctest_step NAME FOLDER ... as many tests as CTest runs in FOLDER (more arguments go to ctest)
#   counted_step NAME COMMAND...
#                              as many tests as COMMAND's last line says: "N passed, N failed". Exit code 77: skipped,
#                              for the reason in its last line
#   skip NAME REASON           one skipped test
#   summary                    table and totals; returns 1 when anything failed

passed=0 failed=0 skipped=0
table=()

row() { # NAME PASSED FAILED SKIPPED SECONDS REMARK
  table+=("$(printf '%-34s %6s %6s %7s %8s  %s' "$@")")
}

step() {
  local name=$1 begin=$SECONDS
  shift
  echo
  echo "== $name"
  if "$@"; then
    passed=$((passed + 1))
    row "$name" 1 0 0 $((SECONDS - begin)) ""
  else
    failed=$((failed + 1))
    row "$name" 0 1 0 $((SECONDS - begin)) "FAILED"
    return 1
  fi
}

counted_step() {
  local name=$1 begin=$SECONDS log status good bad
  shift
  echo
  echo "== $name"
  log=$(mktemp)
  "$@" | tee "$log"
  status=${PIPESTATUS[0]}
  read -r good bad < <(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
  local last
  last=$(tail -n 1 "$log")
  rm -f "$log"
  if [ "$status" = 77 ]; then
    skip "$name" "${last#skipped: }"
    return
  fi
  good=${good:-0} bad=${bad:-0}
  [ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
  row "$name" "$good" "$bad" 0 $((SECONDS - begin)) "$([ "$bad" -eq 0 ] || echo FAILED)"
  [ "$bad" -eq 0 ]
}

skip() {
  skipped=$((skipped + 1))
  row "$1" 0 0 1 0 "skipped: $2"
}

note() { row "$1" - - - 0 "$2"; }

# A number out of the first line of CTest's JUnit file.
junit_count() { sed -n '/<testsuite /,/>/s/.*[[:space:]]'"$2"'="\([0-9]*\)".*/\1/p' "$1" | head -1; }

# Names and reasons of the tests that skipped themselves, out of CTest's log.
skip_reasons() {
  awk '/^\[ RUN +\]/ { name = $4 }
       reason_follows { print name ": " $0; reason_follows = 0 }
       /: Skipped$/ { reason_follows = 1 }' "$1/Testing/Temporary/LastTest.log"
}

ctest_step() {
  local name=$1 folder=$2 begin=$SECONDS total=0 bad=0 left_out=0 reason
  shift 2
  echo
  echo "== tests of $name"
  local junit=$PWD/$folder/junit.xml
  rm -f "$junit"
  # Only what did not pass is printed, and the totals; the JUnit file has the rest.
  ctest --test-dir "$folder" -j "$(nproc)" --output-on-failure --no-tests=error --output-junit "$junit" "$@" |
    grep -vE '^ +Start +[0-9]+: | +Passed +[0-9.]+ sec$'
  if [ ! -s "$junit" ]; then
    failed=$((failed + 1))
    row "tests of $name" 0 1 0 $((SECONDS - begin)) "FAILED: ctest ran nothing"
    return 1
  fi
  total=$(junit_count "$junit" tests)
  bad=$(junit_count "$junit" failures)
  left_out=$(($(junit_count "$junit" skipped) + $(junit_count "$junit" disabled)))
  passed=$((passed + total - bad - left_out))
  failed=$((failed + bad))
  skipped=$((skipped + left_out))
  row "tests of $name" $((total - bad - left_out)) "$bad" "$left_out" $((SECONDS - begin)) \
    "$([ "$bad" -eq 0 ] || echo FAILED)"
  while IFS= read -r reason; do table+=("    skipped $reason"); done < <(skip_reasons "$folder")
  [ "$bad" -eq 0 ]
}

summary() {
  echo
  printf '%-34s %6s %6s %7s %8s  %s\n' step passed failed skipped seconds remark
  printf '%s\n' "${table[@]}"
  echo
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}
