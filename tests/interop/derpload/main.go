// derpload loads a DERP relay through the reference client library and says, in one line of JSON
// a run, what passed and what the relay's processes spent on it. The same run against two relays
// compares them.
//
//	SSL_CERT_FILE=ca.crt derpload -url https://localhost:8443/derp -pid PID[,PID...] MODE [flags]
//
// The modes:
//
//	pairs    n senders and n receivers, one frame a TLS record, as the reference client writes them
//	bulk     the same with -batch frames in a TLS write, as a batching client writes them
//	idle     the memory of n clients that are logged in and silent
//	logins   n clients that connect, log in and leave, -c of them at once
//	rtt      packets there and back, one at a time; with -beside N, while N pairs send in bulk
//	fair     one client floods and n others bounce packets: what they wait, what they lose
//	verify   what a client is owed: order, bytes, sizes, pings, duplicates, who is gone
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sort"
	"time"
)

var (
	relayURL = flag.String("url", "https://localhost:8443/derp", "URL of the relay")
	pidList  = flag.String("pid", "", "process ids of the relay, separated by commas, that CPU and memory are read of")
	spread   = flag.Bool("spread", false, "dial from many loopback addresses, for more connections than one has ports")
)

// result is one line of output.
type result map[string]any

var modes = map[string]func(args []string) result{
	"pairs":  pairs,
	"bulk":   bulk,
	"idle":   idle,
	"logins": logins,
	"rtt":    rtt,
	"fair":   fair,
	"verify": verify,
	"beside": beside,
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("derpload: ")
	flag.Parse()
	run, known := modes[flag.Arg(0)]
	if !known {
		log.Print("choose one of the modes pairs, bulk, idle, logins, rtt, fair, verify")
		os.Exit(2)
	}
	line := run(flag.Args()[1:])
	line["mode"] = flag.Arg(0)
	text, err := json.Marshal(line)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	if ok, judged := line["ok"].(bool); judged && !ok {
		os.Exit(1)
	}
}

// flags of one mode; a wrong one ends the program with status 2.
func flags(mode string) *flag.FlagSet { return flag.NewFlagSet(mode, flag.ExitOnError) }

// percentiles of times, in microseconds. Sorts them.
func percentiles(times []time.Duration, into result) {
	if len(times) == 0 {
		return
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	into["p50_us"] = us(times[len(times)/2])
	into["p99_us"] = us(times[len(times)*99/100])
	into["max_us"] = us(times[len(times)-1])
}
