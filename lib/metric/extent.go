package metric

// extents say how many images a query has to look at.
type extents struct {
	class, classSize []int          // of each image, of each class
	group, groupSize []int          // of each image, of each group; nil without groups
	without          []bool         // of each group: whether it stands for no group
	both             map[[2]int]int // images of a class and group
}

func newExtents(labels, groups []int64) extents {
	var s extents
	s.class, s.classSize = number(labels)
	if groups == nil {
		return s
	}
	s.group, s.groupSize = number(groups)
	s.without, s.both = make([]bool, len(s.groupSize)), map[[2]int]int{}
	for i, g := range s.group {
		s.without[g] = groups[i] < 0
		s.both[[2]int{s.class[i], g}]++
	}
	return s
}

// relevant is the number of images that query q should find, itself excluded or its whole group.
func (s *extents) relevant(q int, wholeGroup bool) int {
	class := s.class[q]
	if wholeGroup && !s.without[s.group[q]] {
		return s.classSize[class] - s.both[[2]int{class, s.group[q]}]
	}
	return s.classSize[class] - 1
}

// nearest is how many of the nearest images, excluded ones among them, decide query q's scores: the relevant ones or the last of Ks, and all that may be excluded.
// 0: there is nothing to find.
func (s *extents) nearest(q int) int {
	relevant, excluded := s.relevant(q, false), 1
	if relevant == 0 {
		return 0
	}
	if s.group != nil && !s.without[s.group[q]] {
		excluded = s.groupSize[s.group[q]]
	}
	return min(len(s.class), max(relevant, Ks[len(Ks)-1])+excluded)
}

const (
	mostPerPiece = 24      // queries that share a pass over the images: whole tiles of every build
	mostRows     = 1 << 22 // that they may keep, of 16 bytes, but for one query
)

// queriesPerPiece is how many queries share a pass over n images.
func (s *extents) queriesPerPiece(n int) int {
	most := 1
	for q := range s.class {
		most = max(most, s.nearest(q))
	}
	return max(1, min(mostPerPiece, mostRows/most))
}
