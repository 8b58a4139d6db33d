package main

import "testing"

func TestEveryClientOfAFleetReconnectsOnce(t *testing.T) {
	for _, f := range simulateAll() {
		sum := 0
		for _, n := range f.perSecond {
			sum += n
		}
		if want := f.hosts * hostClients; sum != want {
			t.Errorf("%s over %d hosts: %d reconnects, want %d", f.name, f.hosts, sum, want)
		}
	}
}

func TestEachMeansLowersThePeakOfAFleet(t *testing.T) {
	for _, hosts := range fleetSizes {
		peaks := map[string]int{}
		for _, m := range manners {
			f := simulate(hosts, m)
			peaks[m.name], _ = f.peak()
		}
		all, timer, drain, both := peaks[manners[0].name], peaks[manners[1].name], peaks[manners[2].name], peaks[manners[4].name]
		if all != hosts*hostClients || timer > all || drain > timer || both > drain || both > peaks[manners[3].name] {
			t.Errorf("%d hosts: the worst seconds are %v", hosts, peaks)
		}
	}
}
